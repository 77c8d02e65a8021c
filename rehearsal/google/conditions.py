"""The parts of CEL that workload identity providers for AWS are written with.

Attribute mappings: ``assertion.X``, one ``extract`` of it, and Google's own expression for
``attribute.aws_role``.
Conditions: comparisons with ``==`` and ``!=``, ``startsWith``, ``endsWith`` and ``contains`` of a
plain string, joined by ``&&`` and ``||`` and parentheses. Anything else is refused when the
provider is created, so that no rule passes unread.

Source: https://cloud.google.com/iam/docs/workload-identity-federation-with-other-clouds#mappings-and-conditions
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

_AWS_ROLE = (
    "assertion.arn.contains('assumed-role') ? assertion.arn.extract('{account_arn}assumed-role/') "
    "+ 'assumed-role/' + assertion.arn.extract('assumed-role/{role_name}/') : assertion.arn"
)
DEFAULT_MAPPING = {"google.subject": "assertion.arn", "attribute.aws_role": _AWS_ROLE}

_CLAIMS = ("arn", "account", "userid")
_CLAIM = re.compile(rf"assertion\.({'|'.join(_CLAIMS)})")
_EXTRACTION = re.compile(
    rf"assertion\.(?P<claim>{'|'.join(_CLAIMS)})\.extract\("
    r"(?P<quote>['\"])(?P<before>[^{}'\"]*)\{\w+\}(?P<after>[^{}'\"]*)(?P=quote)\)"
)
_KEY = re.compile(r"google\.subject|attribute\.[a-z0-9_]{1,100}")
_TOKEN = re.compile(
    r"\s*(?:(?P<string>\"[^\"\\]*\"|'[^'\\]*')|(?P<path>[a-z]\w*(?:\.\w+)+)|(?P<op>&&|\|\||==|!=|[().]))"
)

Values = Mapping[str, str]
Test = Callable[[Values], bool]


class ConditionError(ValueError):
    """An expression that is not understood here; the message says which are."""


def map_attributes(mapping: Mapping[str, str], assertion: Mapping[str, str]) -> dict[str, str]:
    """``google.subject`` and ``attribute.*`` of a caller."""
    return {key: _mapped(expression, assertion) for key, expression in mapping.items()}


def check_mapping(mapping: Mapping[str, str]) -> None:
    """Raise ConditionError for a mapping that cannot be evaluated."""
    if "google.subject" not in mapping:
        raise ConditionError("The attribute mapping must map google.subject")
    for key in mapping:
        if not _KEY.fullmatch(key):
            raise ConditionError(f"Invalid mapping key {key!r}; such as attribute.aws_role")
    map_attributes(mapping, dict.fromkeys(_CLAIMS, ""))


def _mapped(expression: str, assertion: Mapping[str, str]) -> str:
    claim = _CLAIM.fullmatch(expression.strip())
    if claim:
        return assertion[claim[1]]
    extraction = _EXTRACTION.fullmatch(expression.strip())
    if extraction:
        return _extract(assertion[extraction["claim"]], extraction["before"], extraction["after"])
    if _normal(expression) == _normal(_AWS_ROLE):
        return aws_role(assertion["arn"])
    raise ConditionError(
        f"The mapping {expression!r} is not understood here; "
        f"{', '.join('assertion.' + claim for claim in _CLAIMS)}, one extract() of them and "
        "Google's default for attribute.aws_role are"
    )


def _extract(text: str, before: str, after: str) -> str:
    """What stands between *before* and *after* (or the end); nothing where they do not occur.

    Source: https://cloud.google.com/iam/docs/conditions-attribute-reference#extract
    """
    _, found, rest = text.partition(before) if before else ("", "yes", text)
    if not found:
        return ""
    inside, ended, _ = rest.partition(after) if after else (rest, "yes", "")
    return inside if ended else ""


def _normal(expression: str) -> str:
    return re.sub(r"\s+", "", expression).replace('"', "'")


def aws_role(arn: str) -> str:
    """The ARN of an assumed role without its session; any other ARN as it is."""
    account, found, rest = arn.partition("assumed-role/")
    return f"{account}{found}{rest.partition('/')[0]}" if found else arn


def compile_condition(text: str) -> Test:
    """The condition as a function of ``{"assertion.arn": ..., "attribute.aws_role": ...}``."""
    parser = _Parser(text)
    test = parser.either()
    if parser.peek() is not None:
        raise parser.error()
    return test


class _Parser:
    """Recursive descent over the tokens of one condition."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[str] = []
        self._position = 0
        rest = 0
        while text[rest:].strip():
            match = _TOKEN.match(text, rest)
            if match is None:
                raise self.error()
            self._tokens.append(match[match.lastgroup or 0])
            rest = match.end()

    def error(self) -> ConditionError:
        return ConditionError(
            f"The condition {self._text!r} is not understood here; understood are == and != with a "
            "string, startsWith, endsWith, contains, &&, || and parentheses, on assertion.*, "
            "attribute.* and google.subject"
        )

    def peek(self) -> str | None:
        return self._tokens[self._position] if self._position < len(self._tokens) else None

    def _next(self) -> str:
        token = self.peek()
        if token is None:
            raise self.error()
        self._position += 1
        return token

    def _expect(self, token: str) -> None:
        if self._next() != token:
            raise self.error()

    def either(self) -> Test:
        tests = [self._both()]
        while self.peek() == "||":
            self._next()
            tests.append(self._both())
        return lambda values: any(test(values) for test in tests)

    def _both(self) -> Test:
        tests = [self._term()]
        while self.peek() == "&&":
            self._next()
            tests.append(self._term())
        return lambda values: all(test(values) for test in tests)

    def _term(self) -> Test:
        token = self._next()
        if token == "(":  # noqa: S105
            inner = self.either()
            self._expect(")")
            return inner
        path, _, method = token.rpartition(".")
        if method in ("startsWith", "endsWith", "contains"):
            self._expect("(")
            wanted = self._string()
            self._expect(")")
            return _method_test(path, method, wanted)
        operator = self._next()
        if operator not in ("==", "!="):
            raise self.error()
        wanted = self._string()
        return lambda values: (_value(values, token) == wanted) == (operator == "==")

    def _string(self) -> str:
        token = self._next()
        if token[0] not in "'\"":
            raise self.error()
        return token[1:-1]


def _method_test(path: str, method: str, wanted: str) -> Test:
    if method == "startsWith":
        return lambda values: _value(values, path).startswith(wanted)
    if method == "endsWith":
        return lambda values: _value(values, path).endswith(wanted)
    return lambda values: wanted in _value(values, path)


def _value(values: Values, path: str) -> str:
    if path not in values:
        raise ConditionError(f"The condition reads {path}, which the mapping does not set")
    return values[path]
