"""What of the Amazon States Language the rehearsal plays, and a check that nothing else is there.

The service refuses an unknown field when a machine is created; the rehearsal fails the execution
with States.Runtime naming it, so that nothing in a definition is ever silently left out.
Reference: https://states-language.net and
https://docs.aws.amazon.com/step-functions/latest/dg/statemachine-structure.html.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_MACHINE = {"Comment", "StartAt", "States", "QueryLanguage", "TimeoutSeconds", "Version"}
_BRANCH = {"Comment", "StartAt", "States", "QueryLanguage"}
_PROCESSOR = {*_BRANCH, "ProcessorConfig"}
_COMMON = {"Type", "Comment", "QueryLanguage"}
_FLOW = {"Next", "End"}
_RESULT = {"Output", "Assign"}
_ERRORS = {"Retry", "Catch"}
_STATES = {
    "Pass": _FLOW | _RESULT,
    "Task": {"Resource", "Arguments", "TimeoutSeconds"} | _FLOW | _RESULT | _ERRORS,
    "Choice": {"Choices", "Default"} | _RESULT,
    "Wait": {"Seconds", "Timestamp"} | _FLOW | _RESULT,
    "Succeed": {"Output"},
    "Fail": {"Error", "Cause"},
    "Parallel": {"Branches", "Arguments"} | _FLOW | _RESULT | _ERRORS,
    "Map": {"Items", "ItemProcessor", "ItemSelector", "MaxConcurrency"} | _FLOW | _RESULT | _ERRORS,
}
_REQUIRED = {
    "Task": ("Resource",),
    "Choice": ("Choices",),
    "Parallel": ("Branches",),
    "Map": ("ItemProcessor",),
}
_RULE = {"Condition", "Next", *_RESULT, "Comment"}
_RETRIER = {
    "ErrorEquals",
    "IntervalSeconds",
    "MaxAttempts",
    "BackoffRate",
    "MaxDelaySeconds",
    "JitterStrategy",
    "Comment",
}
_CATCHER = {"ErrorEquals", "Next", *_RESULT, "Comment"}


def faults(definition: Any) -> list[str]:
    """Return one sentence for every part of a machine that cannot be played as written."""
    if not isinstance(definition, Mapping):
        return ["the definition is not a JSON object"]
    return list(_machine(definition, "the machine", _MACHINE, None))


def _machine(
    machine: Mapping[str, Any], where: str, known: set[str], language: str | None
) -> Iterator[str]:
    yield from _unknown(machine, known, where)
    language = machine.get("QueryLanguage", language)
    states = machine.get("States")
    if not isinstance(states, Mapping) or not states:
        yield f"{where} has no States"
        return
    if machine.get("StartAt") not in states:
        yield f"StartAt of {where} names '{machine.get('StartAt')}', which is no state of it"
    for name, state in states.items():
        yield from _state(name, state, states, language)


def _unknown(part: Mapping[str, Any], known: set[str], where: str) -> Iterator[str]:
    for field in part:
        if field not in known:
            yield f"the field '{field}' of {where} is not supported"


def _state(
    name: str, state: Mapping[str, Any], states: Mapping[str, Any], machine_language: str | None
) -> Iterator[str]:
    where = f"state '{name}'"
    kind = state.get("Type")
    if kind not in _STATES:
        yield f"the Type '{kind}' of {where} is not supported"
        return
    language = state.get("QueryLanguage", machine_language)
    if language != "JSONata":
        yield f"{where} has the query language {language or 'JSONPath'}; only JSONata is supported"
        return
    yield from _unknown(state, _COMMON | _STATES[kind], where)
    for field in _REQUIRED.get(kind, ()):
        if field not in state:
            yield f"{where} lacks {field}"
    yield from _flow(state, kind, where, states)
    if kind == "Wait" and ("Seconds" in state) == ("Timestamp" in state):
        yield f"{where} needs Seconds or Timestamp, one of them"
    for retrier in state.get("Retry", ()):
        yield from _unknown(retrier, _RETRIER, f"Retry of {where}")
        yield from _error_names(retrier, f"Retry of {where}")
    for catcher in state.get("Catch", ()):
        yield from _unknown(catcher, _CATCHER, f"Catch of {where}")
        yield from _error_names(catcher, f"Catch of {where}")
    for rule in state.get("Choices", ()):
        yield from _unknown(rule, _RULE, f"a choice of {where}")
        if "Condition" not in rule:
            yield f"a choice of {where} lacks Condition"
    for index, branch in enumerate(state.get("Branches", ())):
        yield from _machine(branch, f"branch {index} of {where}", _BRANCH, language)
    if "ItemProcessor" in state:
        yield from _processor(state["ItemProcessor"], where, language)


def _flow(
    state: Mapping[str, Any], kind: str, where: str, states: Mapping[str, Any]
) -> Iterator[str]:
    targets = [part["Next"] for part in _parts_with_next(state) if "Next" in part]
    if "Default" in state:
        targets.append(state["Default"])
    for target in targets:
        if target not in states:
            yield f"{where} goes on to '{target}', which is no state beside it"
    if kind in ("Choice", "Succeed", "Fail"):
        return
    if ("Next" in state) == (state.get("End") is True):
        yield f"{where} needs Next or End: true, one of them"


def _parts_with_next(state: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield state
    yield from state.get("Catch", ())
    yield from state.get("Choices", ())


def _error_names(handler: Mapping[str, Any], where: str) -> Iterator[str]:
    names = handler.get("ErrorEquals")
    if not names:
        yield f"{where} lacks ErrorEquals"
    elif "States.ALL" in names and len(names) > 1:
        yield f"{where} lists States.ALL beside other errors; it must stand alone"


def _processor(processor: Mapping[str, Any], where: str, language: str) -> Iterator[str]:
    config = processor.get("ProcessorConfig", {})
    if config.get("Mode", "INLINE") != "INLINE":
        yield f"the ProcessorConfig Mode {config['Mode']} of {where} is not supported"
    yield from _unknown(config, {"Mode"}, f"ProcessorConfig of {where}")
    yield from _machine(processor, f"ItemProcessor of {where}", _PROCESSOR, language)
