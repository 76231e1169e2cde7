"""What to do on the command line about an error, whose own text speaks of the library alone."""

from imrec_pg import errors

# {error} is the error itself.
_HINTS: dict[type[errors.ImrecError], str] = {
    errors.UnknownRootError: "imrec-pg root list shows them",
    errors.RootExistsError: "imrec-pg root list shows them",
    errors.FolderNotFoundError: "if it has moved: imrec-pg root add NAME FOLDER",
    errors.UnknownRoleError: "--create creates it",
    errors.NoClustersError: "imrec-pg cluster build --feature {error.feature}",
    errors.NoMapError: "imrec-pg map build --feature {error.feature}",
    errors.NoIndexError: "imrec-pg index build {error.feature} {error.metric}",
    errors.OutputExistsError: "--overwrite replaces it",
    errors.FileInTheWayError: "--force replaces it",
    errors.EmbeddedServerError: "--data names its folder, --dsn another server",
    errors.ServerStoppedError: "the next command starts the server",
    errors.OtherModelWeightsError: "--allow-other-weights allows them",
    errors.WeightsError: "imrec-pg weights fetches them; name a file with --model-weights or IMREC_WEIGHTS",
}


def with_hint(error: errors.ImrecError) -> str:
    """Return the error's text, with the hint of its class or of the nearest base class that has one."""
    hint = next((_HINTS[kind] for kind in type(error).__mro__ if kind in _HINTS), None)
    return str(error) if hint is None else f"{error} ({hint.format(error=error)})"
