"""The policy pack: the rules of `plinth_rules` as Pulumi's policies. Making the pack starts its server and waits."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from plinth_rules import RULES
from plinth_rules.resource import LATER, Resource, Rule
from pulumi_policy import (
    EnforcementLevel,
    PolicyConfigSchema,
    PolicyPack,
    ResourceValidationPolicy,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

Said = Callable[[str, str], None]


def plain(value: Any) -> Any:
    """Copy properties; what is known only later becomes LATER, so that the rest can be judged at a preview."""
    if isinstance(value, Mapping):
        return {key: _item(value, key) for key in value}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_item(value, index) for index in range(len(value))]
    return value


def _item(value: Any, key: Any) -> Any:
    try:
        return plain(value[key])
    except UnknownValueError:
        return LATER


def resource_of(item: Any, parent: str = "") -> Resource:
    """Write what Pulumi gives as what rules take."""
    return Resource(item.resource_type, item.name, plain(item.props), item.opts.protect, item.urn, parent)


def policy_of(rule: Rule) -> ResourceValidationPolicy | StackValidationPolicy:
    """Make one policy of one rule."""
    schema = PolicyConfigSchema(rule.schema) if rule.schema else None
    level = EnforcementLevel.MANDATORY
    if rule.whole_stack:

        def judge_stack(args: Any, report: Said) -> None:
            found = [resource_of(item, item.parent.urn if item.parent else "") for item in args.resources]
            for text in rule.judge(found, args.get_config()):
                report(text, "")

        return StackValidationPolicy(rule.name, rule.description, judge_stack, level, schema)

    def judge(args: Any, report: Said) -> None:
        for text in rule.judge([resource_of(args)], args.get_config()):
            report(text, args.urn)

    return ResourceValidationPolicy(rule.name, rule.description, judge, level, schema)


PolicyPack("plinth", [policy_of(rule) for rule in RULES], EnforcementLevel.MANDATORY)
