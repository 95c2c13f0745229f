"""Names in Turkish, German and Chinese, and what may stand in a text for people beside them."""

from __future__ import annotations

from unicodedata import normalize

TURKISH = "Ödeme İşlemleri \u0131ğüşöç"
GERMAN = "Prüfstelle Straßenverkehr ẞ"
CHINESE = "支付网关-测试环境\uff08生产\uff09"
ACCENTS_APART = normalize("NFD", "Café Ödeme güven")
"""Each accent is a character of its own behind its letter, as some systems store names."""
RARE_CHINESE = "\U00020000\U00020bb7野家"
"""Characters beyond U+FFFF (extension B), which UTF-16 writes as two halves."""
PICTURE = "支付\U0001f4b3"

NAMES = {
    "Turkish": TURKISH,
    "German": GERMAN,
    "Chinese": CHINESE,
    "accents apart": ACCENTS_APART,
    "rare Chinese": RARE_CHINESE,
    "a picture": PICTURE,
    "long Chinese": "支付网关测试环境生产系统下线计划" * 4,
}
"""What may be a name of a project, a proxy, an environment, a wave or a plan."""

FAMILY = "\U0001f469\u200d\U0001f469\u200d\U0001f467"
"""A picture of three, joined by a character that no name may hold; a reason may."""
REASON = f"CHG-1042 {CHINESE}, {TURKISH} {FAMILY}"

MISLEADING = {"a mark for right to left": "\u200f", "an override": "\u202e", "a joiner": "\u200d"}
"""Characters that no name may hold, since a reader does not see them."""
