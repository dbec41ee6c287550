"""The nearest name is offered, a far one is not."""

from ensemble.data.spelling import nearest


def test_nearest() -> None:
    assert nearest("breast-cancer", ("iris", "breast_cancer")) == " (did you mean 'breast_cancer'?)"
    assert nearest("xyz", ("iris", "breast_cancer")) == ""
