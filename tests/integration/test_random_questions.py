"""Hundreds of random questions to 20,000 images: none short, wrong or unlabelled."""

from uuid import UUID

import numpy as np
import pytest
from numpy.typing import NDArray
from psycopg.types.json import Jsonb

from imrec_pg.analysis.reducing import reduce_all
from imrec_pg.catalogue.index import build_index
from imrec_pg.catalogue.roots import add_root
from imrec_pg.db.connection import Connection
from imrec_pg.ingest.find import root_of
from imrec_pg.ingest.write import write_batch
from imrec_pg.paths import file_id
from imrec_pg.records import Feature, Features, FoundFile, ImageInfo, Metric, StoredImage

NUMBER, QUESTIONS = 20_000, 800
FORMATS = ["JPEG", "JPEG", "JPEG", "PNG"]


class Collection:
    """What is stored, as NumPy has it; the image of row i has the id i + 1."""

    def __init__(self) -> None:
        rng = np.random.default_rng(11)
        # Clusters, as photos have: 200 of very unequal sizes, in 24 directions.
        centres = rng.normal(size=(200, 24))
        self.kind = np.minimum((rng.pareto(1, NUMBER) * 5).astype(int), 199)
        latent = centres[self.kind] + 0.4 * rng.normal(size=(NUMBER, 24))
        self.embedding = np.abs(latent @ rng.normal(size=(24, 512))).astype(np.float32)
        histogram = rng.gamma(0.05, size=(NUMBER, 512)) + 1e-9
        self.histogram = (histogram / histogram.sum(axis=1, keepdims=True)).astype(np.float32)
        self.apart = np.empty_like(self.histogram)
        self.hash = rng.integers(0, 256, (NUMBER, 8), dtype=np.uint8)
        self.bits = np.unpackbits(self.hash, axis=1)
        self.size = rng.permutation(NUMBER) + 1
        self.width = rng.integers(100, 5000, NUMBER)
        self.format = np.array([FORMATS[i] for i in rng.integers(0, 4, NUMBER)])
        self.lengths = np.linalg.norm(self.embedding.astype(np.float64), axis=1)

    def images(self) -> list[StoredImage]:
        root = root_of(b"/photos")
        return [self._image(i, root.root_id) for i in range(NUMBER)]

    def _image(self, i: int, root: UUID) -> StoredImage:
        key, relative = UUID(int=i + 1), b"%03d/%d.jpg" % (self.kind[i], i)
        file = FoundFile(root, file_id(root, relative), relative, b"/photos/" + relative, 9, i)
        info = ImageInfo(key, int(self.size[i]), int(self.width[i]), 9, str(self.format[i]), None, None, None)
        code = self.hash[i].tobytes()
        return StoredImage(
            key, info, (file,), Features(self.embedding[i], self.histogram[i], code, code, code)
        )

    def distances(self, feature: str, query: int) -> NDArray[np.float64]:
        if feature == "average_hash":
            return np.asarray(np.count_nonzero(self.bits != self.bits[query], axis=1), dtype=np.float64)
        if feature == "histogram":
            # In place: 40 MB anew for each question take most of the time.
            apart = np.subtract(self.histogram, self.histogram[query], out=self.apart)
            return np.asarray(np.abs(apart, out=apart).sum(axis=1), dtype=np.float64)
        x = self.embedding
        return np.asarray(1 - (x @ x[query]) / (self.lengths * self.lengths[query]), dtype=np.float64)

    def random_filter(self, rng: np.random.Generator) -> tuple[dict[str, object], NDArray[np.bool_]]:
        """Return a filter that lets 0.05 to 100 % through, and whom."""
        allowed = np.ones(NUMBER, dtype=bool)
        condition: dict[str, object] = {}
        if rng.random() < 0.5:
            most = int(NUMBER * 10 ** rng.uniform(-3.3, 0))
            condition["max_size"] = most
            allowed &= self.size <= most
        if rng.random() < 0.3:
            condition["format"] = "PNG"
            allowed &= self.format == "PNG"
        if rng.random() < 0.3:
            least = int(rng.integers(100, 5000))
            condition["min_width"] = least
            allowed &= self.width >= least
        if rng.random() < 0.3:
            kind = int(self.kind[rng.integers(NUMBER)])
            condition["under"] = f"/photos/{kind:03}"
            allowed &= self.kind == kind
        return condition, allowed


@pytest.mark.timeout(900)
def test_no_answer_is_short_wrong_or_unlabelled(conn: Connection) -> None:
    collection, rng = Collection(), np.random.default_rng(5)
    add_root(conn, root_of(b"/photos"))
    images = collection.images()
    for start in range(0, NUMBER, 2_000):
        write_batch(conn, images[start : start + 2_000])
    build_index(conn, Feature.EMBEDDING, Metric.COSINE)
    conn.execute("VACUUM (ANALYZE)")
    answers: set[str] = set()
    recall = []
    for number in range(QUESTIONS):
        if number == QUESTIONS // 2:
            # From now on few are compared by their whole vectors.
            assert reduce_all(conn) == [Feature.EMBEDDING, Feature.HISTOGRAM]
        feature, metric = [
            ("embedding", None),
            ("embedding", None),
            ("histogram", "manhattan"),
            ("average_hash", None),
        ][int(rng.integers(4))]
        query, k = int(rng.integers(NUMBER)), int(rng.choice([1, 5, 10, 50, 300]))
        condition, allowed = (
            collection.random_filter(rng) if number % 2 else ({}, np.ones(NUMBER, dtype=bool))
        )
        allowed = allowed.copy()
        allowed[query] = False
        found = conn.execute(
            "SELECT image_id, distance, certainty FROM imrec.similar_to(%s::uuid, %s, %s, %s, %s)",
            (UUID(int=query + 1), k, feature, metric, Jsonb(condition)),
        ).fetchall()
        rows = [UUID(str(row[0])).int - 1 for row in found]
        told = np.array([float(str(row[1])) for row in found])
        labels = {str(row[2]) for row in found}
        distances = collection.distances(feature, query)
        question = f"{feature}, k = {k}, {condition}"

        assert len(rows) == len(set(rows)) == min(k, int(allowed.sum())), question
        assert allowed[rows].all(), question
        np.testing.assert_allclose(told, distances[rows], rtol=1e-4, atol=1e-5, err_msg=question)
        assert (np.diff(told) >= 0).all(), question
        assert len(labels) == (1 if rows else 0), question
        answers |= labels
        truth = np.sort(distances[allowed])[: len(rows)]
        if labels == {"exact"}:
            np.testing.assert_allclose(told, truth, rtol=1e-4, atol=1e-5, err_msg=question)
        elif rows:
            assert labels == {"approximate"}, question
            recall.append(np.mean(told <= truth[-1] + 1e-5))
    # All ways of answering were asked, and what is approximate is not far off.
    assert answers == {"exact", "approximate"}
    assert len(recall) > 100
    assert np.mean(recall) > 0.9
