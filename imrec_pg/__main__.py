"""python -m imrec_pg."""

from imrec_pg.cli.main import main

if __name__ == "__main__":
    main()
