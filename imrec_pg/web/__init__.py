"""The page where people look at their photos, and the REST API that programs call: imrec-pg serve."""
