"""Who runs the tests."""

import os

from imrec_pg.embedded.account import Account

MYSELF = Account(name="myself", uid=os.geteuid(), gid=os.getegid(), switch=False)
