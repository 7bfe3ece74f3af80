"""Reduces nights inside a Dagster step: one night after the other, each asset by asset, each judged by its checks.

A step takes any number of nights, so that a year is a dozen Dagster runs. A night that falls short does not stop the
others: what needs its failed asset is left out for that night alone, and the step fails at its end, naming the nights.
Materializations and check results are told as they are made, each for its own night.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

import dagster as dg

from ops.asset_events import AssetCheckEvaluation, newest_materialization, version_tags
from ops.errors import MOST_RETRIES, told_to_dagster
from ops.night_metadata import describe_record
from ops.operation_reporting import ProgressLines
from runstart.errors import Alert, Transient

if TYPE_CHECKING:
    from runstart.nights import Check, NightFiles, Record, Site, Step, Verdict
    from runstart.operation_kit import Workplace

NightEvent = dg.AssetMaterialization | AssetCheckEvaluation

_BACKFILL = "dagster/backfill"
_AUTOMATION = "dagster/from_automation_condition"


def night_asset_key(site_name: str, asset: str) -> dg.AssetKey:
    """Return the asset key of one of a site's assets."""
    return dg.AssetKey([site_name, asset])


def reduce_nights(
    context: dg.AssetExecutionContext, site: Site, workplace: Workplace, nights: Collection[str]
) -> Iterator[NightEvent]:
    """Make the selected assets of some nights, and yield their materializations and check results.

    Parameters
    ----------
    context : dagster.AssetExecutionContext
        The step; says which assets and checks are selected.
    site : Site
        Whose nights.
    workplace : Workplace
        Store and inputs.
    nights : collection of str
        The partitions.

    Raises
    ------
    dagster.Failure
        If a night fell short, and no attempt more can help another one; it names them.
    dagster.RetryRequested
        If a source or the store stayed away; what is done already costs nothing then.
    """
    from runstart.nights import NightFiles

    shortcomings: dict[str, list[str]] = {}
    transient: Transient | None = None
    bug: Exception | None = None
    files = NightFiles(site, workplace.store)
    for number, night in enumerate(nights, start=1):
        context.log.info(f"Night {night} of {site.name} ({number} of {len(nights)}).")
        reduction = _NightReduction(context, site, workplace, night, files)
        try:
            yield from reduction.events()
        except Transient as error:
            context.log.warning(f"Night {night}: {error}")
            transient = error
            reduction.shortcomings.append(f"not all is done: {error}")
        except Exception as error:  # a bug must not cost the other nights: it is raised at the end
            context.log.exception(f"Night {night}: {error}")
            bug = error
            reduction.shortcomings.append(f"{type(error).__name__}: {error}")
        if reduction.shortcomings:
            shortcomings[night] = reduction.shortcomings
    if bug is not None:
        bug.add_note(_tell(site, shortcomings, len(nights)))
        raise bug
    if transient is not None and context.retry_number < MOST_RETRIES:
        with told_to_dagster(context.retry_number):
            raise transient
    if shortcomings:
        raise dg.Failure(_tell(site, shortcomings, len(nights)), allow_retries=False)


class _NightReduction:
    """One night's way through the selected assets."""

    def __init__(
        self,
        context: dg.AssetExecutionContext,
        site: Site,
        workplace: Workplace,
        night: str,
        files: NightFiles,
    ) -> None:
        from runstart.nights import NightWork

        self._context = context
        self._site = site
        self._night = night
        self._failed: set[str] = set()
        self.shortcomings: list[str] = []
        self._follows = context.run.tags.get(_AUTOMATION) == "true"
        progress = ProgressLines(context.log.info).progress
        self._work = NightWork(site, night, workplace, on_progress=progress, files=files)

    def events(self) -> Iterator[NightEvent]:
        from runstart.nights import STEPS

        selected = [
            step
            for step in STEPS
            if night_asset_key(self._site.name, step.asset) in self._context.selected_asset_keys
        ]
        if self._follows:
            # Nobody has asked for this run: what a check blocks stays blocked. By hand it may be made all the same.
            given = {need for step in selected for need in step.needs} - {step.asset for step in selected}
            self._failed = {asset for asset in given if self._is_blocked(asset)}
        for step in selected:
            lost = sorted(self._failed.intersection(step.needs))
            if lost:
                self._failed.add(step.asset)
                self._context.log.warning(f"Night {self._night}: no {step.asset}, because of {', '.join(lost)}.")
                continue
            yield from self._make(step)

    def _is_blocked(self, asset: str) -> bool:
        from runstart.nights import CHECKS

        blocking = [check for check in CHECKS if check.asset == asset and check.blocking]
        return any(self._verdict(check).is_error for check in blocking)

    def _verdict(self, check: Check) -> Verdict:
        records = {needed: self._work.record(needed) for needed in (check.asset, *check.needs)}
        return check.judge(self._site, records)

    def _make(self, step: Step) -> Iterator[NightEvent]:
        from runstart.nights import make_step

        try:
            record = make_step(self._work, step.asset)
        except Alert as error:
            self._fail(step.asset, f"{step.asset}: {error}")
            return
        yield self._materialization(step, record)
        yield from self._judge(step.asset)

    def _judge(self, asset: str) -> Iterator[AssetCheckEvaluation]:
        from runstart.nights import CHECKS

        for check in CHECKS:
            key = dg.AssetCheckKey(night_asset_key(self._site.name, asset), check.name)
            if check.asset != asset or key not in self._context.selected_asset_check_keys:
                continue
            verdict = self._verdict(check)
            severity = dg.AssetCheckSeverity.ERROR if verdict.severity == "error" else dg.AssetCheckSeverity.WARN
            yield AssetCheckEvaluation(
                asset_key=key.asset_key,
                check_name=check.name,
                passed=verdict.passed,
                metadata=dict(verdict.figures),
                severity=severity,
                description=verdict.text,
                target_materialization_data=newest_materialization(
                    self._context.instance, key.asset_key, self._night
                ),
                # The step itself leaves out what follows: Dagster would stop all nights.
                blocking=False,
                partition=self._night,
            )
            if verdict.is_error:
                text = f"{asset}: {check.name}: {verdict.text}"
                if check.blocking:
                    self._fail(asset, text)
                else:
                    self.shortcomings.append(text)

    def _fail(self, asset: str, text: str) -> None:
        self._failed.add(asset)
        self.shortcomings.append(text)
        self._context.log.error(f"Night {self._night}: {text}")

    def _materialization(self, step: Step, record: Record) -> dg.AssetMaterialization:
        needs = {night_asset_key(self._site.name, name): self._work.record(name).digest for name in step.needs}
        tags = version_tags(record.digest, record.code_version, needs)
        if _BACKFILL in self._context.run.tags:
            tags[_BACKFILL] = self._context.run.tags[_BACKFILL]
        return dg.AssetMaterialization(
            asset_key=night_asset_key(self._site.name, record.asset),
            partition=self._night,
            metadata=describe_record(record, self._work.workplace.store),
            tags=tags,
        )


def _tell(site: Site, shortcomings: dict[str, list[str]], number: int) -> str:
    lines = [f"{len(shortcomings)} of {number} nights of {site.name} fell short; the others are done."]
    lines += [f"{night}: {text}" for night, texts in shortcomings.items() for text in texts]
    return "\n".join(lines)
