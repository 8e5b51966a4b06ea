"""Names: what follows from what, and that no two models share one."""

import pytest

from pulumi_plinth.model.names import name_faults, saved_name, trained_name
from pulumi_plinth.model.spec import ModelSpec

HUB = {"storage": {"uri": "hf://org/model"}}


def draws(*values):
    """A source of ids that returns these in turn."""
    left = list(values)
    return lambda: left.pop(0)


def test_trained_and_saved_names_follow_the_pattern():
    """Technical name, train name, day and four digits of the id; saved names add `s` and four more."""
    trained = trained_name(("qwen-7b", "tickets"), "20250630", draws("ab12cd34-0000"))
    assert trained == "qwen-7b-tickets-20250630-ab12"
    assert saved_name(trained, draws("FFee0000")) == "qwen-7b-tickets-20250630-ab12-s-ffee"


def test_the_longest_names_fit_a_dns_label():
    """Twenty and twenty characters give 62 in the saved name; anything longer is refused."""
    trained = trained_name(("a" * 20, "b" * 20), "20250630", draws("abcd"))
    assert len(saved_name(trained, draws("abcd"))) == 62
    with pytest.raises(ValueError, match="63 are allowed; shorten the train name"):
        saved_name(trained + "-and-more", draws("abcd"))


def test_a_collision_is_drawn_again():
    """Four digits collide; the next draw is taken."""
    taken = {"m-t-20250630-aaaa", "m-t-20250630-bbbb"}
    assert trained_name(("m", "t"), "20250630", draws("aaaa", "bbbb", "cccc"), taken).endswith("-cccc")
    with pytest.raises(ValueError, match="no free name"):
        trained_name(("m", "t"), "20250630", lambda: "aaaa", taken)


@pytest.mark.parametrize(
    ("parts", "day"), [(("Foo_1", "t"), "20250630"), (("m", "T!"), "20250630"), (("m", "t"), "June")]
)
def test_bad_parts_are_refused(parts, day):
    """What is no technical name or no day cannot begin a name."""
    with pytest.raises(ValueError, match="is not a"):
        trained_name(parts, day, lambda: "aaaa")


@pytest.mark.parametrize("field", ["technicalName", "displayName", "servedName"])
def test_two_models_with_one_name_are_both_named(field):
    """A shared technical, display or served name is refused and names both models."""
    models = {name: ModelSpec.model_validate({**HUB, field: "same"}) for name in ("one", "two")}
    fault = str(next(name_faults(models, "models")))
    assert f"models.two.{field}" in fault
    assert "'two'" in fault
    assert "'one'" in fault


def test_a_served_name_may_not_be_another_models_name():
    """Clients could not tell which model they ask."""
    models = {"one": ModelSpec.model_validate(HUB), "two": ModelSpec.model_validate({**HUB, "servedName": "one"})}
    assert [fault.path for fault in name_faults(models, "models")] == ["models.two.servedName"]
