"""The words of every kind of notification, in Vietnamese and English.

Two texts per kind: the inbox's, which may name the report, and the push's, which leaves the
country and therefore says only that something is there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

Lane = Literal["urgent", "normal", "bulk"]

APP_NAME = "C-Thái Nguyên"
DEFAULT_LOCALE = "vi"


@dataclass(frozen=True, slots=True)
class Text:
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Kind:
    """`group` is what a citizen mutes; `inbox` and `push` are by locale."""

    lane: Lane
    ttl: timedelta
    group: str
    inbox: Mapping[str, Text]
    push: Mapping[str, Text]


_REPORT_PUSH = {
    "vi": Text(APP_NAME, "Phản ánh của bạn có cập nhật mới."),
    "en": Text(APP_NAME, "There is news about your report."),
}
_QUESTION_PUSH = {
    "vi": Text(APP_NAME, "Cơ quan xử lý cần bạn bổ sung thông tin cho phản ánh."),
    "en": Text(APP_NAME, "The office needs more information about your report."),
}
_PRIVACY_PUSH = {
    "vi": Text(APP_NAME, "Yêu cầu của bạn có cập nhật mới."),
    "en": Text(APP_NAME, "There is news about your request."),
}
_ACCOUNT_PUSH = {
    "vi": Text(APP_NAME, "Có thông báo về tài khoản của bạn."),
    "en": Text(APP_NAME, "There is a notice about your account."),
}
_SECURITY_PUSH = {
    "vi": Text(APP_NAME, "Có thông báo bảo mật về tài khoản của bạn."),
    "en": Text(APP_NAME, "There is a security notice about your account."),
}


def _report(vi: Text, en: Text, push: Mapping[str, Text] = _REPORT_PUSH) -> Kind:
    """Make a kind of news about a citizen's own report: worth waking a phone for a few days."""
    return Kind("normal", timedelta(days=3), "reports", {"vi": vi, "en": en}, push)


def _privacy(vi: Text, en: Text) -> Kind:
    """Make a kind of news about what a citizen asked for under the law on personal data."""
    return Kind("normal", timedelta(days=7), "privacy", {"vi": vi, "en": en}, _PRIVACY_PUSH)


def _pause(vi: Text, en: Text) -> Kind:
    """Make a kind of news about not being allowed to send reports for a time."""
    return Kind("normal", timedelta(days=3), "account", {"vi": vi, "en": en}, _ACCOUNT_PUSH)


def _account(vi: Text, en: Text) -> Kind:
    """Make a kind of news that the owner of an account should see before somebody else acts."""
    return Kind("urgent", timedelta(days=7), "security", {"vi": vi, "en": en}, _SECURITY_PUSH)


KINDS: Mapping[str, Kind] = {
    "report_received": _report(
        vi=Text("Đã nhận phản ánh", "Hệ thống đã nhận phản ánh {code} của bạn."),
        en=Text("Report received", "We have received your report {code}."),
    ),
    "report_assigned": _report(
        vi=Text(
            "Phản ánh đã được chuyển xử lý",
            "Phản ánh {code} đã được chuyển đến {department} để xử lý.",
        ),
        en=Text("Report assigned", "Your report {code} has been passed to {department}."),
    ),
    "report_in_progress": _report(
        vi=Text("Phản ánh đang được xử lý", "Phản ánh {code} của bạn đang được xử lý."),
        en=Text("Report in progress", "Work on your report {code} has begun."),
    ),
    "report_waiting_citizen": _report(
        vi=Text(
            "Cần bạn bổ sung thông tin",
            "Để xử lý phản ánh {code}, cơ quan xử lý cần bạn bổ sung:\n{text}",
        ),
        en=Text(
            "More information needed",
            "To go on with your report {code}, the office asks you:\n{text}",
        ),
        push=_QUESTION_PUSH,
    ),
    "report_resolved": _report(
        vi=Text("Phản ánh đã được giải quyết", "Kết quả giải quyết phản ánh {code}:\n{text}"),
        en=Text("Report resolved", "The outcome of your report {code}:\n{text}"),
    ),
    "report_rejected": _report(
        vi=Text("Phản ánh không được tiếp nhận", "Phản ánh {code} không được tiếp nhận:\n{text}"),
        en=Text("Report not accepted", "Your report {code} was not accepted:\n{text}"),
    ),
    "report_reopened": _report(
        vi=Text(
            "Phản ánh được mở lại",
            "Phản ánh {code} của bạn đã được mở lại và sẽ được xử lý tiếp.",
        ),
        en=Text("Report reopened", "Your report {code} is open again and will be worked on."),
    ),
    "report_closed": _report(
        vi=Text("Phản ánh đã đóng", "Phản ánh {code} của bạn đã được đóng."),
        en=Text("Report closed", "Your report {code} has been closed."),
    ),
    "account_deletion_asked": _account(
        vi=Text(
            "Tài khoản của bạn sẽ bị xóa",
            "Theo yêu cầu của bạn, tài khoản và dữ liệu cá nhân của bạn sẽ bị xóa sau {due}. Trước "
            "lúc đó bạn có thể hủy yêu cầu. Nếu không phải bạn yêu cầu, hãy hủy ngay và kiểm tra "
            "các thiết bị đang đăng nhập.",
        ),
        en=Text(
            "Your account will be deleted",
            "As you asked, your account and your personal data will be deleted after {due}. Until "
            "then you can take it back. If this was not you, take it back now and look through "
            "the devices that are signed in.",
        ),
    ),
    "account_deletion_undone": _account(
        vi=Text(
            "Tài khoản của bạn được giữ lại",
            "Yêu cầu xóa tài khoản của bạn, dự kiến thực hiện sau {due}, đã được hủy.",
        ),
        en=Text(
            "Your account stays",
            "The deletion of your account, which was due after {due}, has been taken back.",
        ),
    ),
    "export_taken": _account(
        vi=Text(
            "Bản sao dữ liệu của bạn vừa được tải",
            "Bản sao dữ liệu cá nhân của bạn vừa được tải trên thiết bị: {device}. Nếu không phải "
            "bạn, hãy kết thúc phiên đó trong danh sách thiết bị đang đăng nhập và báo cho cơ quan "
            "quản lý.",
        ),
        en=Text(
            "A copy of your data was downloaded",
            "A copy of your personal data has just been downloaded on the device: {device}. If "
            "this was not you, end that session in the list of devices that are signed in, and "
            "tell the authority.",
        ),
    ),
    "export_ready": Kind(
        lane="normal",
        ttl=timedelta(days=3),
        group="account",
        inbox={
            "vi": Text(
                "Bản sao dữ liệu của bạn đã sẵn sàng",
                "Bạn có thể tải bản sao dữ liệu cá nhân của mình trong ứng dụng trong vòng 7 ngày.",
            ),
            "en": Text(
                "The copy of your data is ready",
                "You can download the copy of your personal data in the app within 7 days.",
            ),
        },
        push={
            "vi": Text(APP_NAME, "Bản sao dữ liệu bạn yêu cầu đã sẵn sàng."),
            "en": Text(APP_NAME, "The copy of your data that you asked for is ready."),
        },
    ),
    "reporter_blocked": _pause(
        vi=Text(
            "Tạm ngừng nhận phản ánh từ bạn",
            "Bạn bị tạm khóa đến {until}: trong thời gian này bạn không gửi được phản ánh mới. "
            "Phản ánh liên quan: {code}. Nếu không đồng ý, bạn có thể gửi ý kiến phản đối một lần "
            "trong ứng dụng; một cán bộ khác sẽ trả lời. Lý do:\n{text}",
        ),
        en=Text(
            "No reports are taken from you for a time",
            "Until {until} you cannot send new reports, because of your report {code}. If you do "
            "not agree, you may appeal once in the app; somebody else than who decided this will "
            "answer. The reason:\n{text}",
        ),
    ),
    # Only letters from before pauses were ended with a reason have it.
    "reporter_unblocked": _pause(
        vi=Text("Bạn gửi lại được phản ánh", "Việc tạm ngừng nhận phản ánh đã chấm dứt."),
        en=Text("You can send reports again", "The pause for your reports has ended."),
    ),
    "pause_lifted": _pause(
        vi=Text(
            "Đã bỏ tạm khóa",
            "Việc tạm khóa đã chấm dứt trước thời hạn. Phản ánh liên quan: {code}. Lý do:\n{text}",
        ),
        en=Text(
            "A pause has ended",
            "A pause has ended early. It concerned your report {code}. The reason:\n{text}",
        ),
    ),
    "appeal_granted": _pause(
        vi=Text(
            "Ý kiến phản đối được chấp nhận",
            "Ý kiến phản đối của bạn được chấp nhận và việc tạm khóa đã chấm dứt. Phản ánh liên "
            "quan: {code}. Trả lời:\n{text}",
        ),
        en=Text(
            "Your appeal was granted",
            "Your appeal was granted and the pause has ended. It concerned your report {code}. "
            "The answer:\n{text}",
        ),
    ),
    "appeal_granted_late": _pause(
        vi=Text(
            "Ý kiến phản đối được chấp nhận",
            "Ý kiến phản đối của bạn được chấp nhận, nhưng việc tạm khóa đã hết hạn trước khi có "
            "trả lời. Phản ánh liên quan: {code}. Trả lời:\n{text}",
        ),
        en=Text(
            "Your appeal was granted",
            "Your appeal was granted, but the pause had run out before it was answered. It "
            "concerned your report {code}. The answer:\n{text}",
        ),
    ),
    "pause_kept": _pause(
        vi=Text(
            "Ý kiến phản đối không được chấp nhận",
            "Ý kiến phản đối của bạn về việc tạm khóa không được chấp nhận. Phản ánh liên quan: "
            "{code}. Trả lời:\n{text}",
        ),
        en=Text(
            "Your appeal was not granted",
            "Your appeal against the pause was not granted. It concerned your report {code}. The "
            "answer:\n{text}",
        ),
    ),
    "security_session_revoked": Kind(
        lane="urgent",
        ttl=timedelta(days=1),
        group="security",
        inbox={
            "vi": Text(
                "Một phiên đăng nhập đã bị thu hồi",
                "Một phiên đăng nhập vào tài khoản của bạn vừa bị thu hồi. Nếu không phải bạn "
                "thực hiện, hãy đăng nhập lại và kiểm tra các thiết bị đang đăng nhập.",
            ),
            "en": Text(
                "A session was ended",
                "A session of your account has just been ended. If this was not you, sign in "
                "again and look through the devices that are signed in.",
            ),
        },
        push=_SECURITY_PUSH,
    ),
    "data_request_received": _privacy(
        vi=Text(
            "Đã nhận yêu cầu về dữ liệu cá nhân",
            "Hệ thống đã nhận yêu cầu về dữ liệu cá nhân của bạn. Bạn sẽ có trả lời chậm nhất lúc "
            "{due}.",
        ),
        en=Text(
            "Request about your data received",
            "We have received your request about your personal data. You will have an answer by "
            "{due} at the latest.",
        ),
    ),
    "data_request_accepted": _privacy(
        vi=Text(
            "Yêu cầu về dữ liệu cá nhân được chấp nhận",
            "Yêu cầu của bạn được chấp nhận và sẽ được thực hiện chậm nhất lúc {due}.\n{text}",
        ),
        en=Text(
            "Request about your data accepted",
            "Your request was accepted and will be carried out by {due} at the latest.\n{text}",
        ),
    ),
    "data_request_refused": _privacy(
        vi=Text(
            "Yêu cầu về dữ liệu cá nhân không được chấp nhận",
            "Yêu cầu của bạn không được chấp nhận:\n{text}",
        ),
        en=Text("Request about your data refused", "Your request was refused:\n{text}"),
    ),
    "data_request_extended": _privacy(
        vi=Text(
            "Gia hạn yêu cầu về dữ liệu cá nhân",
            "Việc thực hiện yêu cầu của bạn cần thêm thời gian, chậm nhất đến {due}:\n{text}",
        ),
        en=Text(
            "More time for your request about your data",
            "Carrying out your request takes longer, until {due} at the latest:\n{text}",
        ),
    ),
    "data_request_third_party": _privacy(
        vi=Text(
            "Yêu cầu về dữ liệu cá nhân liên quan đến bên khác",
            "Yêu cầu của bạn cần một bên khác cùng thực hiện nên thời hạn là {due}.",
        ),
        en=Text(
            "Your request about your data concerns others too",
            "Another party has to act on your request as well, so it is due by {due}.",
        ),
    ),
    "data_request_done": _privacy(
        vi=Text(
            "Đã thực hiện yêu cầu về dữ liệu cá nhân",
            "Yêu cầu của bạn đã được thực hiện:\n{text}",
        ),
        en=Text("Request about your data carried out", "Your request was carried out:\n{text}"),
    ),
    "child_confirmed": _privacy(
        vi=Text(
            "Quan hệ với trẻ đã được xác nhận",
            "Bạn có thể thay mặt trẻ đã khai cho đến khi trẻ đủ 16 tuổi.",
        ),
        en=Text(
            "Relation to a child confirmed",
            "You can act for the child you named until the child turns 16.",
        ),
    ),
    "child_refused": _privacy(
        vi=Text(
            "Quan hệ với trẻ không được xác nhận",
            "Quan hệ với trẻ mà bạn đã khai không được xác nhận:\n{text}",
        ),
        en=Text(
            "Relation to a child not confirmed",
            "Your relation to the child you named was not confirmed:\n{text}",
        ),
    ),
    "child_grew_up": _privacy(
        vi=Text(
            "Quan hệ với trẻ đã kết thúc",
            "Trẻ mà bạn khai đã đủ 16 tuổi nên tự quyết định về dữ liệu của mình. Thông tin bạn đã "
            "khai về trẻ đã được xóa.",
        ),
        en=Text(
            "Relation to a child ended",
            "The child you named has turned 16 and decides on their own data from now on. What you "
            "told about the child has been deleted.",
        ),
    ),
    "child_lapsed": _privacy(
        vi=Text(
            "Quan hệ với trẻ không được kiểm tra kịp",
            "Quan hệ với trẻ mà bạn khai chưa được xác nhận sau {days} ngày nên thông tin đã khai "
            "được xóa. Bạn có thể khai lại.",
        ),
        en=Text(
            "Relation to a child was not checked in time",
            "Your relation to the child you named was not confirmed within {days} days, so what "
            "you told has been deleted. You can name the child again.",
        ),
    ),
    "child_ended": _privacy(
        vi=Text(
            "Quan hệ với trẻ đã kết thúc theo yêu cầu",
            "Theo yêu cầu của bạn, quan hệ với trẻ đã kết thúc và thông tin bạn đã khai về trẻ "
            "được xóa.",
        ),
        en=Text(
            "Relation to a child ended as you asked",
            "As you asked, your relation to the child has ended, and what you told about the "
            "child has been deleted.",
        ),
    ),
    "consents_withdrawn": _privacy(
        vi=Text(
            "Sự đồng ý đã được rút lại theo yêu cầu",
            "Theo yêu cầu của bạn, sự đồng ý cho các mục đích sau đã được rút lại: {purposes_vi}. "
            "Bạn xem được từng mục đích ở trang đồng ý.",
        ),
        en=Text(
            "Consent withdrawn as you asked",
            "As you asked, your consent has been withdrawn for: {purposes_en}. The page of "
            "consents shows each purpose.",
        ),
    ),
    # Only letters from before the purposes were named have it.
    "consent_withdrawn": _privacy(
        vi=Text(
            "Sự đồng ý đã được rút lại theo yêu cầu",
            "Theo yêu cầu của bạn, sự đồng ý cho việc xử lý không bắt buộc đã được rút lại. Bạn "
            "xem được từng mục đích ở trang đồng ý.",
        ),
        en=Text(
            "Consent withdrawn as you asked",
            "As you asked, your consent to what is not compulsory has been withdrawn. The page of "
            "consents shows each purpose.",
        ),
    ),
    "security_new_sign_in": Kind(
        lane="urgent",
        ttl=timedelta(days=1),
        group="security",
        inbox={
            "vi": Text(
                "Đăng nhập trên thiết bị mới",
                "Tài khoản của bạn vừa được đăng nhập trên một thiết bị mới: {device}. Nếu không "
                "phải bạn, hãy kết thúc phiên đó trong danh sách thiết bị đang đăng nhập.",
            ),
            "en": Text(
                "Sign-in on a new device",
                "Your account has just been signed in to on a new device: {device}. If this was "
                "not you, end that session in the list of devices that are signed in.",
            ),
        },
        push=_SECURITY_PUSH,
    ),
}


def render(kind: str, locale: str, **facts: str) -> Text:
    """Give the inbox's words for a notification.

    Raises:
        KeyError: The kind is unknown or one of its facts is missing; both are our mistakes.
    """
    template = _in(KINDS[kind].inbox, locale)
    # What people typed comes last, and may be nothing.
    return Text(template.title.format(**facts), template.text.format(**facts).rstrip())


def push_text(kind: str, locale: str) -> Text:
    """Give the words for a push payload; they take no facts, so none can leak."""
    return _in(KINDS[kind].push, locale)


def _in(texts: Mapping[str, Text], locale: str) -> Text:
    """Choose the text for a locale such as "en" or "en-GB"; what we lack is read in Vietnamese."""
    return texts.get(locale.partition("-")[0].lower(), texts[DEFAULT_LOCALE])
