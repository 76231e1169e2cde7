"""What is retried, how often, and what a server's time limit splits."""

from collections.abc import Sequence

import pytest
from psycopg import errors as pg

from imrec_pg.db.retry import retry_conflicts, split_on_timeout, wait_until


class Failing:
    """Raises an error so many times, then returns "done"."""

    def __init__(self, times: int, error: Exception) -> None:
        self.left, self.error, self.calls = times, error, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.left:
            self.left -= 1
            raise self.error
        return "done"


@pytest.mark.parametrize(
    "error",
    [pg.DeadlockDetected(), pg.SerializationFailure(), pg.UniqueViolation(), pg.ForeignKeyViolation()],
)
def test_a_conflict_is_retried_four_times(error: Exception) -> None:
    action = Failing(4, error)
    assert retry_conflicts(action) == "done"
    with pytest.raises(type(error)):
        retry_conflicts(Failing(5, error))


def test_another_error_is_not_retried() -> None:
    action = Failing(1, pg.CheckViolation())
    with pytest.raises(pg.CheckViolation):
        retry_conflicts(action)
    assert action.calls == 1


def test_a_wait_ends_when_the_condition_holds_or_its_time_is_over() -> None:
    answers = iter([False, False, True])
    assert wait_until(lambda: next(answers))
    assert not wait_until(lambda: False, for_s=0)


def test_a_cancelled_batch_is_split_into_what_the_server_has_time_for() -> None:
    asked = []

    def at_most_three(items: Sequence[int]) -> int:
        asked.append(len(items))
        if len(items) > 3:
            raise pg.QueryCanceled
        return sum(items)

    assert split_on_timeout(range(10), at_most_three) == [0 + 1, 2 + 3 + 4, 5 + 6, 7 + 8 + 9]
    assert asked == [10, 5, 2, 3, 5, 2, 3]


def test_a_single_row_that_is_cancelled_is_an_error() -> None:
    def cancel(_items: Sequence[int]) -> None:
        raise pg.QueryCanceled

    with pytest.raises(pg.QueryCanceled):
        split_on_timeout([1, 2], cancel)
