"""Routes that search: by images that are stored or were sent, by one feature or several."""

import math
from dataclasses import replace
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from imrec_pg.errors import ImageNotFoundError, ModelMismatchError, WeightsError
from imrec_pg.images.content import image_id_of
from imrec_pg.records import Feature, FloatRow, Metric
from imrec_pg.search import Answer, FusedAnswer
from imrec_pg.search.results import FusedNeighbour, Neighbour
from imrec_pg.web import context, models
from imrec_pg.web.context import Context, Sent

router = APIRouter(tags=["search"])
_SENT_SIDE = 256
_RAW = {
    "requestBody": {
        "required": True,
        "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.post("/queries", openapi_extra=_RAW)
async def send_query(request: Request) -> models.QueryImage:
    """Take an image, the raw body, and return the id by which searches may ask for it; it is not stored."""
    it = context.of(request)
    async with it.bodies.image(request) as data:
        return await it.work.run(_keep, it, data)


@router.get("/queries/{image_id}/thumbnail", response_class=Response, responses=models.binary("image/webp"))
async def sent_thumbnail(request: Request, image_id: UUID) -> Response:
    """Return a small WebP of an image that was sent."""
    sent = context.of(request).sent.get(image_id)
    if sent is None:
        raise ImageNotFoundError(f"image {image_id} was not sent, or that is too long ago: send it again")
    return Response(sent.picture, media_type="image/webp", headers={"Cache-Control": "private, max-age=3600"})


@router.post("/recommend")
async def recommend(request: Request, asked: models.Recommend) -> models.Answer:
    """Return the photos most like the likes and least like the dislikes by one feature: imrec.recommend."""
    it = context.of(request)
    return await it.queries.run(_recommend, it, asked)


@router.post("/fuse")
async def fuse(request: Request, asked: models.Fuse) -> models.FusedAnswer:
    """Return the photos most like the likes by several features at once: imrec.fuse."""
    it = context.of(request)
    return await it.queries.run(_fuse, it, asked)


@router.get("/search")
async def search_stored(
    request: Request,
    image_id: UUID,
    k: models.Page = 20,
    feature: Feature = Feature.EMBEDDING,
    metric: Metric | None = None,
) -> models.Answer:
    """Return the photos most like one that is stored, or was sent."""
    it = context.of(request)
    asked = models.Recommend(likes=[image_id], k=k, feature=feature, metric=metric)
    return await it.queries.run(_recommend, it, asked)


@router.post("/search", openapi_extra=_RAW)
async def search_sent(
    request: Request,
    k: models.Page = 20,
    feature: Feature = Feature.EMBEDDING,
    metric: Metric | None = None,
    include_self: Annotated[bool, Query()] = False,
) -> models.Answer:
    """Return the photos most like an image, which is the raw body."""
    it = context.of(request)
    async with it.bodies.image(request) as data:
        answer = await it.work.run(
            it.library.search, data, k=k, feature=feature, metric=metric, include_self=include_self
        )
    return _shown(answer, 0, k)


@router.post("/embed", openapi_extra=_RAW)
async def embed(request: Request) -> models.Embedded:
    """Return the features of an image, which is the raw body."""
    it = context.of(request)
    async with it.bodies.image(request) as data:
        image_id = image_id_of(data)
        found = await it.work.run(it.library.embed, data)
    return models.Embedded(
        image_id=image_id,
        embedding=_numbers(found.embedding),
        histogram=_numbers(found.histogram),
        average_hash=_digits(found.average_hash),
        difference_hash=_digits(found.difference_hash),
        perceptual_hash=_digits(found.perceptual_hash),
    )


@router.get("/features")
async def features(request: Request) -> list[models.FeatureInfo]:
    """Return the features that can be compared: the view imrec.feature."""
    it = context.of(request)
    return [
        models.FeatureInfo(
            feature=Feature(one.feature),
            metrics=[Metric(metric) for metric in one.metrics],
            evidence_weight=float(one.evidence_weight),
            fused_weight=float(one.fused_weight),
        )
        for one in await it.queries.run(it.library.features)
    ]


def _keep(it: Context, data: bytes) -> models.QueryImage:
    picture = it.pictures.of_sent(data, _SENT_SIDE)  # first: it refuses what is no picture
    try:
        known = it.library.know(data)
    except (WeightsError, ModelMismatchError):
        # Searches by the other features need no model.
        known = it.library.know(data, [feature for feature in Feature if feature is not Feature.EMBEDDING])
    it.sent.add(Sent(replace(known, name="the image that was sent"), picture))
    return models.QueryImage(image_id=known.image_id, stored=known.stored)


def _recommend(it: Context, asked: models.Recommend) -> models.Answer:
    start = context.number_of(asked.after, models.MOST_RANKED)
    answer = it.library.search(
        it.sent.queries(asked.likes),
        dislikes=it.sent.queries(asked.dislikes),
        k=_upto(start, asked.k),
        feature=asked.feature,
        metric=asked.metric,
        combine=asked.combine,
        exact=asked.method == "exact",
        include_self=asked.include_self,
        **asked.filter.given(),
    )
    return _shown(answer, start, asked.k)


def _fuse(it: Context, asked: models.Fuse) -> models.FusedAnswer:
    start = context.number_of(asked.after, models.MOST_RANKED)
    answer = it.library.fuse(
        it.sent.queries(asked.likes),
        dislikes=it.sent.queries(asked.dislikes),
        k=_upto(start, asked.k),
        weights=asked.weights,
        fusion=asked.fusion,
        combine=asked.combine,
        exact=asked.method == "exact",
        include_self=asked.include_self,
        **asked.filter.given(),
    )
    return models.FusedAnswer(
        items=[_fused_item(one) for one in answer.neighbours[start : start + asked.k]],
        next=_next(answer, start, asked.k),
        answer=models.FusedInfo(
            certainty=answer.certainty,
            weights=dict(answer.weights),
            fusion=answer.fusion,
            combine=answer.combine,
            timings=dict(answer.timings),
        ),
    )


def _shown(answer: Answer, start: int, k: int) -> models.Answer:
    return models.Answer(
        items=[_item(one) for one in answer.neighbours[start : start + k]],
        next=_next(answer, start, k),
        answer=models.AnswerInfo(
            certainty=answer.certainty,
            feature=answer.feature,
            metric=answer.metric,
            combine=answer.combine,
            index=answer.index,
            recall=None if answer.tuning is None else answer.tuning.recall,
            timings=dict(answer.timings),
        ),
    )


def _upto(start: int, k: int) -> int:
    return min(start + k, models.MOST_RANKED)


def _next(answer: Answer | FusedAnswer, start: int, k: int) -> str | None:
    # Fewer than asked for: there are no more. Or too far out.
    end = start + k
    return context.cursor(end) if len(answer) >= end and end < models.MOST_RANKED else None


def _plain(one: Neighbour | FusedNeighbour) -> dict[str, Any]:
    names = ("rank", "path", "copies", "image_id", "file_id", "width", "height", "missing")
    return {name: getattr(one, name) for name in names}


def _item(one: Neighbour) -> models.Neighbour:
    return models.Neighbour(distance=one.distance, **_plain(one))


def _fused_item(one: FusedNeighbour) -> models.FusedNeighbour:
    says = {
        feature: models.FeatureSays(rank=said.rank, distance=_finite(said.distance), evidence=said.evidence)
        for feature, said in one.features.items()
    }
    return models.FusedNeighbour(fused=one.fused, features=says, **_plain(one))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _numbers(row: FloatRow | None) -> list[float] | None:
    return None if row is None else [float(value) for value in row]


def _digits(code: bytes | None) -> str | None:
    return None if code is None else f"{int.from_bytes(code):064b}"
