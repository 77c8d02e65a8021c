"""What ministack drops of security groups' rules: prefix lists, and texts that are emptied."""

from __future__ import annotations

from functools import partial
from typing import Any

from rehearsal.aws.seams import Seams


def install(seams: Seams, ec2: Any) -> None:
    """Let ministack's *ec2* keep and tell a rule's prefix list, and take an empty description."""
    parse, tell = ec2._parse_ip_permissions, ec2._sg_rule_xml

    def parsed(params: Any, prefix: str) -> Any:
        rules = parse(params, prefix)
        for number, rule in enumerate(rules, 1):
            given = f"{prefix}.{number}.PrefixListIds.1"
            identifier = ec2._p(params, f"{given}.PrefixListId")
            if identifier:
                note = {"Description": ec2._p(params, f"{given}.Description")}
                rule["PrefixListIds"] = [{"PrefixListId": identifier, **note}]
        return rules

    def told(group: str, rule: Any, is_egress: bool = False) -> str:
        text: str = tell(group, rule, is_egress)
        for each in rule["PrefixListIds"]:
            named = f"<prefixListId>{each['PrefixListId']}</prefixListId>"
            text = text.replace("<ipProtocol>", f"{named}<ipProtocol>", 1)
        return text

    seams.replace(ec2, "parse_qs", partial(ec2.parse_qs, keep_blank_values=True))
    seams.replace(ec2, "_parse_ip_permissions", parsed)
    seams.replace(ec2, "_sg_rule_xml", told)
