"""What tells who somebody is, taken out before anything leaves the device.

Two nets, one behind the other. Fields go by their name, in any spelling, in English, German and Chinese; what is left
of an event is only the fields that Islet knows (`islet.agent.intake`). Free text loses what the owner's own details
say (in any case and width), and what looks like an address, a telephone number, a date, an identifier or a name. It
rather removes too much. A name in a text that neither the details nor its surroundings give away cannot be seen: who
cannot have that sends no texts (`Privacy(texts=False)`).
"""

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Final

from islet.decode.iothub_twins import Json, JsonObject

REMOVED: Final = "[…]"
_CHINESE_NAME: Final = re.compile("[\u4e00-\u9fff]{3,4}")
_DIGIT: Final = "[0-9〇○零一二三四五六七八九十]"
PSEUDONYM_PREFIX: Final = "p-"

# Parts of field names, without signs and in small letters: a field whose name holds one is removed.
_IN_NAMES: Final = (
    "email", "mail", "phone", "mobile", "telefon", "handy", "fax", "address", "adresse", "street", "strasse", "postcode",
    "postal", "zipcode", "birth", "geburt", "surname", "lastname", "firstname", "givenname", "familyname", "fullname",
    "middlename", "nickname", "username", "patientname", "vorname", "nachname", "passport", "socialsecurity",
    "insurance", "versicher", "medicalrecord", "identity", "serial", "wechat", "weixin", "whatsapp", "contact", "kontakt",
    "guardian", "uuid", "nextofkin", "latitude", "longitude", "location", "gps", "photo", "picture", "ipaddr", "macaddr",
    "doctor", "physician", "nurse",
    "姓名", "名字", "全名", "电话", "電話", "手机", "手機", "号码", "號碼", "地址", "住址", "住所", "邮编", "邮箱", "郵箱",
    "邮件", "郵件", "生日", "出生", "身份证", "身份證", "证件", "證件", "病历号", "病歷號", "住院号", "门诊号", "就诊卡",
    "社保", "医保", "護照", "护照", "微信", "联系人", "聯絡", "家属", "监护人", "位置", "序列号", "照片", "医生", "医师",
)  # fmt: skip
# How they end, so that patient_id, PATIENTID and device name are found, too. Other words with such an end go as well.
_ENDS: Final = (
    "name", "id", "mrn", "ssn", "nhs", "dob", "tel", "zip", "city", "ip", "mac", "imei", "town", "plz", "ssid", "qq",
    "姓", "名", "编号",
)  # fmt: skip
_PRODUCTS: Final = frozenset({"insulin", "medication"})
"""In these events `name` is a product's."""

_PATTERNS: Final = tuple(
    re.compile(pattern, flags)
    for pattern, flags in (
        (r"[\w.+%-]+\s?(?:@|\(at\)|\[at\])\s?[\w-]+(?:\.[\w-]+)*", re.I),  # e-mail
        (r"(?:https?://|www\.)\S+", re.I),
        (rf"{_DIGIT}{{2,4}}\s?年\s?{_DIGIT}{{1,3}}\s?月(?:\s?{_DIGIT}{{1,3}}\s?[日号]?)?", 0),
        (r"[〇○零一二三四五六七八九]{6,}", 0),  # a telephone number in words
        (r"\d{1,4}\s?[年./-]\s?\d{1,2}\s?[月./-]\s?\d{1,4}\s?日?", 0),  # dates with numbers
        (r"\b\d{1,2}\.?\s?(?:st|nd|rd|th)?\s?(?:of\s)?(?:jan|feb|m[aä]r|apr|ma[iy]|jun|jul|aug|sep|o[ck]t|nov|de[cz])[a-zä]*\.?,?\s?\d{2,4}", re.I),
        (r"\b(?:jan|feb|m[aä]r|apr|ma[iy]|jun|jul|aug|sep|o[ck]t|nov|de[cz])[a-zä]*\.?\s\d{1,2}(?:st|nd|rd|th)?,?\s\d{2,4}", re.I),
        (r"\+?\d(?:[\s().\-/]{0,2}\d){6,}[xX]?|\d{6,}", 0),  # telephone and other long numbers
        (r"\b[A-Z]{1,4}[- ]?\d{4,}[A-Z0-9]*\b", re.I),  # identifiers such as AB123456
        (r"\b\d+[a-z]?,?\s(?:[\w'-]+\s){1,3}(?:street|st|road|rd|avenue|ave|lane|ln|drive|dr|court|square|way|boulevard|blvd|place|close)\b\.?", re.I),
        (r"\b[\w-]*(?:stra(?:ß|ss)e|str\.?|gasse|weg|platz|allee|ring)\s?\d+\s?[a-z]?\b", re.I),
        (r"[\u4e00-\u9fff]{2,}(?:路|街|道|巷|弄|村|小区|大厦)\s?\d*\s?号?(?:\s?\d+\s?[栋幢楼室单元]+)*", 0),
        (r"[\u4e00-\u9fff]{2,4}(?:省|市|区|县|镇)", 0),
        (r"\b(?:mr|mrs|ms|miss|dr|prof|herr|frau|sr|sra|mme|nurse|doctor|sister|brother|aunt|uncle)\b\.?\s+[^\W\d_][\w'’-]*(?:\s+(?-i:[A-ZÄÖÜ])[\w'’-]*)*", re.I),
        (r"\b(?:name is|name|named|ich heiße)\b:?,?\s+[^\W\d_][\w'’-]*(?:\s+(?-i:[A-ZÄÖÜ])[\w'’-]*)*", re.I),
        (r"\b(?:i am|i'm|this is|called|call|ask for|signed|regards|yours|with|for|by|from|to|ich bin|mit|von|bei|für)\b:?,?(?:\s+(?-i:[A-ZÄÖÜ])[\w'’-]*[a-zäöüß])+", re.I),
        (r"(?:我叫|我是|名叫|叫做|姓名|患者|病人|联系)\s?[:：是为]?\s?[\u4e00-\u9fff]{2,4}", 0),
        (r"[\u4e00-\u9fff]{1,3}(?:先生|女士|小姐|太太|医生|大夫|护士|主任|阿姨|叔叔|老师)", 0),
        (r"(?<![.!?\n])(?<=[a-zäöü,;:]\s)[A-ZÄÖÜ][a-zäöüß'’-]+(?:\s+[A-ZÄÖÜ][a-zäöüß'’-]+)+", 0),  # First Last, amid a text
    )
)  # fmt: skip


class Privacy:
    """Removes what identifies, by general signs and by the `details` of those who use the device (names, numbers,
    addresses as they are written at home; they stay there). `texts` False: no free text at all."""

    def __init__(self, details: Iterable[str] = (), *, texts: bool = True) -> None:
        self._texts = texts
        parts = {part for detail in details for part in _parts(detail)}
        longest_first = sorted(parts, key=len, reverse=True)
        self._own = re.compile("|".join(map(re.escape, longest_first)), re.I) if parts else None

    def record(self, record: Mapping[str, Json]) -> JsonObject:
        """The record without fields that identify, at any depth; its texts are as they were.

        >>> Privacy().record({"type": "note", "patientName": "Jo Doe", "text": "ok", "more": {"电话": "1"}})
        {'type': 'note', 'text': 'ok', 'more': {}}
        """
        product = record.get("type") in _PRODUCTS
        return {
            key: self._value(value)
            for key, value in record.items()
            if (product and key == "name") or not identifies(key)
        }

    def text(self, text: str) -> str:
        """The text without what identifies.

        >>> Privacy().text("felt low, then rang +49 151 2345678")
        'felt low, then rang […]'
        """
        if not self._texts:
            return ""
        text = _plain(text)
        nets = _PATTERNS if self._own is None else (self._own, *_PATTERNS)
        # each sees the text as it was: what one has taken out would hide the rest of a date or an address from another
        found = sorted(one.span() for net in nets for one in net.finditer(text))
        said, end = "", 0
        for begin, until in found:
            if begin >= end:
                said += text[end:begin] + REMOVED
            end = max(end, until)
        return said + text[end:]

    def owns(self, text: str) -> bool:
        """Whether a detail of those who use the device is in the text."""
        return self._own is not None and self._own.search(_plain(text)) is not None

    def _value(self, value: Json) -> Json:
        if isinstance(value, dict):
            return self.record(value)
        if isinstance(value, list):
            return [self._value(one) for one in value]
        return value


def identifies(name: str) -> bool:
    """Whether a field of that name says who somebody is; in any case, width and way of joining words.

    >>> [identifies(one) for one in ("Date-Of-Birth", "e_mail", "手机号码", "ＮＡＭＥ", "patientId", "value", "dose_u")]
    [True, True, True, True, True, False, False]
    """
    plain = "".join(c for c in unicodedata.normalize("NFKD", _plain(name)) if not unicodedata.combining(c))
    joined = "".join(filter(str.isalnum, plain)).casefold().rstrip("0123456789")
    return joined.endswith(_ENDS) or any(part in joined for part in _IN_NAMES)


def pseudonym(key: bytes, person: str) -> str:
    """Stands for a person where they must not be named: HMAC-SHA256 under a key that never leaves the device.

    The same for every spelling in case, width and spaces; 128 bits, as text that may be a patient's id.
    """
    plain = " ".join(_plain(person).casefold().split())
    return PSEUDONYM_PREFIX + hmac.digest(key, plain.encode(), hashlib.sha256).hex()[:32]


def _plain(text: str) -> str:
    """In one width, without characters that are not seen."""
    return "".join(c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) != "Cf")


def _parts(detail: str) -> Iterable[str]:
    """A detail and its words, so that a first name alone is found, too, also of a Chinese name, which has no spaces;
    words of one letter or digit are none."""
    plain = _plain(detail).strip()
    if len(plain) > 1:
        yield plain
    for word in re.findall(r"[^\W\d_][\w'’-]*|\d{4,}", plain):
        if len(word) > 1:
            yield word
        if _CHINESE_NAME.fullmatch(word):
            yield word[-2:]
