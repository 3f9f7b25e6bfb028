"""What can go wrong, in the domain's words; api.errors alone knows what HTTP calls it.

The docstring is the English message and `vi` the Vietnamese one; both may name facts in braces,
and the facts travel with the error so that a client need not read prose.
"""

import inspect
import re
from typing import Any, ClassVar


class DomainError(Exception):
    """The request could not be carried out."""

    vi: ClassVar[str] = "Không thực hiện được yêu cầu này."

    def __init__(self, *, retry_after: int | None = None, **facts: Any) -> None:
        """Remember the facts; `retry_after` is in seconds."""
        self.facts = facts
        self.retry_after = retry_after
        super().__init__(self.message("en"))

    @property
    def code(self) -> str:
        """What a client switches on: the class name in snake case."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", type(self).__name__).lower()

    def message(self, locale: str) -> str:
        template = self.vi if locale == "vi" else inspect.getdoc(self) or ""
        return template.format_map(self.facts)


class BadRequest(DomainError):
    """The request is malformed."""

    vi = "Yêu cầu không đúng dạng."


class Unauthenticated(DomainError):
    """Please sign in."""

    vi = "Vui lòng đăng nhập."


class Forbidden(DomainError):
    """You may not do this."""

    vi = "Bạn không có quyền làm việc này."


class NotFound(DomainError):
    """There is nothing here."""

    vi = "Không tìm thấy."


class Conflict(DomainError):
    """This contradicts what is there now."""

    vi = "Yêu cầu mâu thuẫn với dữ liệu hiện tại."


class Expired(DomainError):
    """The time for this has passed."""

    vi = "Đã hết thời hạn."


class Stale(DomainError):
    """Somebody changed this in the meantime; load it again."""

    vi = "Người khác vừa thay đổi nội dung này; vui lòng tải lại."


class PreconditionNeeded(DomainError):
    """Send If-Match with the ETag of what you saw."""

    vi = "Cần gửi If-Match với ETag của bản bạn đang xem."


class TooLarge(DomainError):
    """This is too large."""

    vi = "Dữ liệu quá lớn."


class Damaged(DomainError):
    """What arrived is not what was sent."""

    vi = "Dữ liệu nhận được không còn nguyên vẹn."


class UnsupportedMedia(DomainError):
    """This kind of content is not accepted."""

    vi = "Loại dữ liệu này không được chấp nhận."


class Invalid(DomainError):
    """Some of the values are not right."""

    vi = "Một số giá trị không hợp lệ."


class TooMany(DomainError):
    """Too many attempts; please wait."""

    vi = "Bạn thao tác quá nhiều lần; vui lòng chờ."


class Unavailable(DomainError):
    """A part of the system is not available at the moment."""

    vi = "Một phần của hệ thống tạm thời không hoạt động."
