"""What the long fault runs count, printed at the end of the session."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Tally:
    """Lines of a small table: what was run, how often, and what was lost."""

    lines: list[tuple[str, int, int, int]] = field(default_factory=list)

    def add(self, what: str, *, schedules: int, faults: int, lost: int) -> None:
        """``lost`` counts what did not end as if undisturbed."""
        self.lines.append((what, schedules, faults, lost))

    def table(self) -> list[str]:
        """One line a kind of run, and their sum."""
        total = tuple(sum(line[column] for line in self.lines) for column in (1, 2, 3))
        rows = [*self.lines, ("together", *total)]
        head = f"{'':32}{'schedules':>12}{'faults injected':>18}{'survived':>12}{'lost':>8}"
        return [head, *(f"{w:32}{s:>12,}{f:>18,}{f - x:>12,}{x:>8,}" for w, s, f, x in rows)]
