"""Starts ministack, with what it gets wrong mended.

XML has `true` where Python has `True`: version 1.5.33 writes the flags of a health check (inverted, disabled) the
Python way, and an SDK that reads strictly cannot read the answer. And it forgets which health checks a calculated one
is made of.
"""

from ministack.app import main
from ministack.services import route53

build = route53._build_health_check_el
parse = route53._parse_health_check_config


def build_mended(parent, check):
    build(parent, check)
    for element in parent.iter():
        if element.text in ("True", "False"):
            element.text = element.text.lower()


def parse_mended(element):
    config = parse(element)
    children = route53._find(element, "ChildHealthChecks")
    if children is not None:
        config["ChildHealthChecks"] = [child.text for child in route53._findall(children, "ChildHealthCheck")]
    return config


route53._build_health_check_el = build_mended
route53._parse_health_check_config = parse_mended
main()
