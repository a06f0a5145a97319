"""How a report speaks: language, unit, numbers and dates as its reader has them."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from babel import Locale
from babel.dates import format_date, format_skeleton
from babel.support import NullTranslations

from islet.model.translated import mark as _
from islet.model.units import glucose_in, hba1c_mmol_mol

NO_VALUE: Final = "–"
_SPACE: Final = "\u00a0"
"""Keeps a number and its unit on one line."""
_FEW_PERCENT: Final = 9.95
"""Below this a share has a decimal: the goals of lows are 1 % and 4 %."""
_LEAST_PERCENT: Final = 0.05


def share_decimals(percent: float) -> int:
    """How many decimals a share has."""
    return 1 if abs(percent) < _FEW_PERCENT else 0


@dataclass(frozen=True, kw_only=True)
class Voice:
    """A language (as in HTML's `lang`) with its catalogue, and the unit of glucose."""

    language: str
    translations: NullTranslations
    unit: str

    def text(self, message: str) -> str:
        """The message in this language; as it is where the catalogue lacks it."""
        return self.translations.ugettext(message) if message else ""

    def glucose(self, mg_dl: float | None) -> str:
        """A value without its unit: whole mg/dL, or mmol/L with a decimal."""
        if mg_dl is None:
            return NO_VALUE
        return f"{glucose_in(self.unit, mg_dl):.{0 if self.unit == 'mg/dL' else 1}f}"

    def number(self, mg_dl: float) -> float:
        """A value as a number in the unit, rounded as it is shown."""
        return glucose_in(self.unit, mg_dl)

    def with_unit(self, mg_dl: float | None) -> str:
        """A value with its unit, NO_VALUE alone without one."""
        return NO_VALUE if mg_dl is None else f"{self.glucose(mg_dl)}{_SPACE}{self.unit}"

    def share(self, percent: float | None) -> str:
        r"""A share of readings: with a decimal below 10 %. What is there at all is not told as nothing.

        >>> voice = Voice(language="en", translations=NullTranslations(), unit="mg/dL")
        >>> voice.share(3.96), voice.share(0.03), voice.share(0.0)
        ('4.0\xa0%', '<0.1\xa0%', '0.0\xa0%')
        """
        if percent is not None and 0.0 < percent < _LEAST_PERCENT:
            return f"<0.1{_SPACE}%"
        return NO_VALUE if percent is None else f"{percent:.{share_decimals(percent)}f}{_SPACE}%"

    def percent(self, value: float | None, decimals: int = 0) -> str:
        """Another percentage."""
        return NO_VALUE if value is None else f"{value:.{decimals}f}{_SPACE}%"

    def mmol_mol(self, percent: float) -> str:
        """HbA1c in the laboratories' other unit (IFCC), with it."""
        return f"{hba1c_mmol_mol(percent):.0f}{_SPACE}mmol/mol"

    def signed(self, value: float | None, decimals: int = 0) -> str:
        """A difference, with its sign."""
        if value is None:
            return NO_VALUE
        size = f"{abs(value):.{decimals}f}"
        return ("±" if not float(size) else "+" if value > 0 else "−") + size

    def glucose_change(self, mg_dl: float | None) -> str:
        """A difference of glucose in the unit, with its sign."""
        if mg_dl is None:
            return NO_VALUE
        return self.signed(glucose_in(self.unit, mg_dl), 0 if self.unit == "mg/dL" else 1)

    def span(self, minutes: float | None) -> str:
        """Hours and minutes."""
        if minutes is None:
            return NO_VALUE
        hours, rest = divmod(round(minutes), 60)
        if not hours:
            return self.text(_("{m} min")).format(m=rest)
        sentence = self.text(_("{h} h {m} min") if rest else _("{h} h"))
        return sentence.format(h=hours, m=rest)

    def day(self, day: date) -> str:
        """Day and month."""
        return format_skeleton("MMMd", day, locale=self._locale)

    def weekday(self, day: date) -> str:
        """A short name of the day with day and month."""
        return format_skeleton("MMMEd", day, locale=self._locale)

    def full_day(self, day: date) -> str:
        """Day, month and year."""
        return format_date(day, "medium", locale=self._locale)

    def moment(self, at: datetime) -> str:
        """Day of the week, day, month, hour and minute."""
        return f"{self.weekday(at)} {at:%H:%M}"

    @property
    def _locale(self) -> Locale:
        return Locale.parse(self.language, sep="-")
