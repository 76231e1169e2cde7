"""Routes of what was found in the whole library: clusters, maps, duplicates."""

from http import HTTPStatus
from typing import Annotated, Literal
from uuid import UUID

import numpy as np
from fastapi import APIRouter, HTTPException, Path, Query, Request, Response

from imrec_pg.analysis.duplicates import DuplicateGroup, GivenVerdict
from imrec_pg.analysis.records import Clustering, MapInfo
from imrec_pg.analysis.removals import PlannedFile, RemovalPlan
from imrec_pg.paths import absolute, display_path
from imrec_pg.pictures.shown import Colour, ShownMap
from imrec_pg.records import Feature
from imrec_pg.web import context, models
from imrec_pg.web.context import Context

router = APIRouter(tags=["analyses"])
_MOST_GROUPS = 10**9
_BYTES = "application/octet-stream"
_Dims = Annotated[int, Path(ge=2, le=3)]


@router.get("/clusters")
async def clusters(
    request: Request,
    feature: Feature = Feature.EMBEDDING,
    on_map: Annotated[int | None, Query(ge=2, le=3)] = None,
) -> models.ClusteringTold:
    """Return the clusters found by a feature, or on its map of two or three dimensions: imrec.clusters."""
    it = context.of(request)
    return _clustering(await it.queries.run(it.library.clusters, feature, on_map=on_map))


@router.get("/clusterings")
async def clusterings(request: Request) -> list[models.ClusteringTold]:
    """Return all clusterings that there are."""
    it = context.of(request)
    return [_clustering(one) for one in await it.queries.run(it.library.clusterings)]


@router.get("/maps")
async def maps(request: Request) -> list[MapInfo]:
    """Return the maps that there are, with how good and how old they are."""
    it = context.of(request)
    return await it.queries.run(it.library.maps)


@router.get("/maps/{feature}/{dims}/points", response_class=Response, responses=models.binary(_BYTES))
async def points(
    request: Request, feature: Feature, dims: _Dims, colour: Colour = Colour.CLUSTER
) -> Response:
    """Return a map's points, 8 bytes each: x, y, z and the group as unsigned 16 bits, little endian.

    They come in the order of the ids, which is as good as random. Coordinates run from 0 to 65535 over the box in the
    header X-Imrec-Box (minima, then maxima, of x, y and z); the group is 0 where there is none, else its place in
    groups, from 1. X-Imrec-Version changes with the points: ids and groups of the same version belong to them.
    """
    it = context.of(request)
    shown = await _shown(it, feature, dims)

    def packed() -> Response:
        at = shown.points.points.astype(np.float64)
        if at.shape[1] == 2:  # noqa: PLR2004 - a flat map
            at = np.column_stack([at, np.zeros(len(at))])
        low = at.min(axis=0, initial=np.inf) if len(at) else np.zeros(3)
        high = at.max(axis=0, initial=-np.inf) if len(at) else np.zeros(3)
        span = np.where(high > low, high - low, 1)
        made = np.empty((len(at), 4), "<u2")
        made[:, :3] = np.rint((at - low) / span * 65535)
        made[:, 3] = shown.groups(colour).of_each + 1
        box = ",".join(f"{value:.9g}" for value in (*low, *high))
        return _binary(made.tobytes(), shown, {"X-Imrec-Box": box})

    return await it.work.run(packed)


@router.get("/maps/{feature}/{dims}/ids", response_class=Response, responses=models.binary(_BYTES))
async def point_ids(request: Request, feature: Feature, dims: _Dims) -> Response:
    """Return the ids of a map's images, 16 bytes each, in the order of the points."""
    shown = await _shown(context.of(request), feature, dims)
    return _binary(shown.points.image_ids.tobytes(), shown, {})


@router.get("/maps/{feature}/{dims}/groups")
async def groups(
    request: Request, feature: Feature, dims: _Dims, colour: Colour = Colour.CLUSTER
) -> models.GroupsTold:
    """Return the groups by which a map's points are coloured: names and sizes, and what has no colour of its own."""
    it = context.of(request)
    shown = await _shown(it, feature, dims)
    found = await it.work.run(shown.groups, colour)
    return models.GroupsTold(
        names=list(found.names),
        sizes=list(found.sizes),
        grey=[models.GreyTold(name=name, size=size) for name, size in found.grey],
        medoids={str(number): key for number, key in shown.medoids.get(colour, {}).items()},
        in_order=found.in_order,
    )


@router.get("/duplicates")
async def duplicates(
    request: Request,
    kind: Literal["exact", "copy", "burst"] | None = None,
    order: Literal["savings", "closeness"] = "savings",
    k: models.Page = 50,
    after: models.Cursor = None,
) -> models.DuplicatePage:
    """Return groups of duplicates, those first that take most space, or whose photos are closest to each other."""
    it = context.of(request)
    start = context.number_of(after, _MOST_GROUPS)
    found: list[DuplicateGroup] = await it.duplicates.get(
        kind, it.queries, lambda: it.library.duplicates(kind)
    )
    if order == "closeness":
        found = sorted(found, key=lambda group: (group.farthest, group.group_id))
    return models.DuplicatePage(
        items=[_group(group) for group in found[start : start + k]],
        next=context.cursor(start + k) if start + k < len(found) else None,
        groups=len(found),
        savings=sum(group.savings for group in found),
    )


@router.get("/verdicts")
async def verdicts(request: Request) -> list[GivenVerdict]:
    """Return what people said of pairs of images, the last first."""
    it = context.of(request)
    return await it.queries.run(it.library.verdicts)


@router.put("/verdicts/{image_id}/{other_id}")
async def set_verdict(
    request: Request, image_id: UUID, other_id: UUID, said: models.VerdictGiven
) -> models.VerdictBefore:
    """Say what two images are to each other; return what was said before: imrec.set_verdict."""
    it = context.of(request)
    before = await it.queries.run(it.library.set_verdict, image_id, other_id, said.verdict)
    it.duplicates.forget()
    return models.VerdictBefore(before=None if before is None else before.value)


@router.post("/plans")
async def plan(request: Request, asked: models.PlanAsked) -> models.PlanTold:
    """Return which files of duplicates could go, and which stays for each; nothing is changed."""
    it = context.of(request)
    found = await it.work.run(_plan, it, asked, None)
    return models.PlanTold(
        files=sum(len(group.remove) for group in found.groups),
        savings=found.savings,
        absent=found.absent,
        distant=found.distant,
        groups=[
            models.PlannedGroupTold(
                kind=group.kind, keep=_planned(group.keep), remove=[_planned(file) for file in group.remove]
            )
            for group in found.groups
        ],
    )


@router.post("/plans/script", response_class=Response, responses=models.binary("text/x-shellscript"))
async def plan_script(request: Request, asked: models.ScriptAsked) -> Response:
    """Return a plan as a shell script that moves the files into a folder when a person runs it."""
    it = context.of(request)
    if "\0" in asked.trash:
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, "trash is the absolute path of a folder")

    def script() -> bytes:
        from imrec_pg.analysis.removal_script import script_of

        return script_of(_plan(it, asked, asked.trash), absolute(asked.trash))

    headers = {"Content-Disposition": 'attachment; filename="plan.sh"'}
    return Response(await it.work.run(script), headers=headers, media_type="text/x-shellscript")


def _plan(it: Context, asked: models.PlanAsked, trash: str | None) -> RemovalPlan:
    return it.library.plan_removal(asked.kinds, keep=asked.keep, prefer=asked.prefer, trash=trash)


def _planned(file: PlannedFile) -> models.PlannedFileTold:
    return models.PlannedFileTold(path=display_path(file.path), image_id=file.image_id, size=file.size)


async def _shown(it: Context, feature: Feature, dims: int) -> ShownMap:
    found = await it.maps.get((feature, dims), it.work, lambda: it.library.shown_map(feature, dims=dims))
    assert isinstance(found, ShownMap)
    return found


def _binary(body: bytes, shown: ShownMap, headers: dict[str, str]) -> Response:
    info = shown.points.info
    version = f"{info.map_id.hex}-{len(shown.points)}"
    said = {
        "X-Imrec-Points": str(len(shown.points)),
        "X-Imrec-Version": version,
        "Cache-Control": "private, no-cache",
    }
    return Response(body, headers=said | headers, media_type=_BYTES)


def _clustering(found: Clustering) -> models.ClusteringTold:
    names = set(models.ClusteringTold.model_fields) - {"clusters"}
    clusters = [models.ClusterTold(**one) for one in found.to_dicts()]
    return models.ClusteringTold(clusters=clusters, **{name: getattr(found, name) for name in names})


def _group(group: DuplicateGroup) -> models.DuplicateGroupTold:
    names = models.DuplicatePhotoTold.model_fields
    return models.DuplicateGroupTold(
        group_id=group.group_id,
        kind=group.kind,
        savings=group.savings,
        farthest=group.farthest,
        photos=[
            models.DuplicatePhotoTold(**{name: getattr(one, name) for name in names}) for one in group.photos
        ],
    )
