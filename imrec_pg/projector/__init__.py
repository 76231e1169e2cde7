"""Files for TensorBoard's projector, written without TensorFlow: features, a map, metadata and thumbnails.

The projector reads the first 100,000 rows alone, fits its PCA on 50,000 of them and its UMAP on 5,000. So a
larger library is sampled, rows are shuffled, and our own map, where there is one, is a tensor of its own.
"""

from imrec_pg.projector.choosing import MAX_PHOTOS, Choice
from imrec_pg.projector.writing import ProjectorExport, export_projector

__all__ = ["MAX_PHOTOS", "Choice", "ProjectorExport", "export_projector"]
