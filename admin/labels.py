"""The words of the staff view; the only place where codes become Vietnamese."""

import datetime as dt
from collections.abc import Iterable
from typing import Any

from models import Role
from services import audit
from services.audit import Purpose
from services.calendar import ZONE, local_time
from services.errors import DomainError
from services.privacy.purposes import Purpose as ConsentPurpose
from services.privacy.purposes import wording

STATES = {
    "received": "Mới nhận",
    "assigned": "Đã phân công",
    "in_progress": "Đang xử lý",
    "pending_approval": "Chờ duyệt kết quả",
    "waiting_citizen": "Chờ người dân bổ sung",
    "resolved": "Đã có kết quả",
    "rejected": "Không tiếp nhận",
    "duplicate": "Trùng lặp",
    "cancelled": "Người dân đã rút",
    "closed": "Đã đóng",
}
# What a button says, and what stands on the page when it has been done.
STEPS = {
    "assign": ("Phân công", "Đã phân công."),
    "hand_over": ("Chuyển đơn vị khác", "Đã chuyển đơn vị."),
    "return": ("Trả lại điều phối", "Đã trả lại điều phối."),
    "claim": ("Nhận xử lý", "Bạn đã nhận xử lý phản ánh này."),
    "resolve": ("Báo kết quả", "Đã ghi kết quả."),
    "reject": ("Không tiếp nhận", "Đã ghi không tiếp nhận."),
    "reconsider": ("Xem xét lại", "Phản ánh trở về hàng đợi mới nhận."),
    "reopen": ("Mở lại", "Đã mở lại phản ánh."),
    "publish": ("Công khai", "Đã công khai phản ánh."),
    "save_text": ("Lưu nội dung công khai", "Đã lưu nội dung công khai."),
    "unpublish": ("Ngừng công khai", "Phản ánh không còn công khai."),
    "data_request:accept": ("Chấp nhận", "Đã chấp nhận yêu cầu và báo cho người yêu cầu."),
    "data_request:refuse": ("Từ chối", "Đã từ chối yêu cầu và báo cho người yêu cầu."),
    "data_request:finish": ("Đã thực hiện xong", "Đã ghi yêu cầu là thực hiện xong."),
    "data_request:extend": ("Gia hạn một lần", "Đã gia hạn và báo cho người yêu cầu."),
    "data_request:involve": ("Cần bên khác cùng thực hiện", "Đã tính hạn theo bên thứ ba."),
    "child:confirm": ("Xác nhận quan hệ", "Đã xác nhận quan hệ và báo cho người khai."),
    "child:refuse": ("Không xác nhận", "Đã từ chối quan hệ và báo cho người khai."),
    "breach:record": ("Ghi vào sổ", "Đã ghi sự cố vào sổ."),
    "breach:edit": ("Lưu hồ sơ", "Đã lưu hồ sơ."),
    "breach:notify": ("Ghi đã thông báo", "Đã ghi thời điểm thông báo cho cơ quan chuyên trách."),
    "breach:close": ("Đóng vụ việc", "Đã đóng vụ việc."),
    "pause_reporter": ("Tạm khóa người gửi", "Đã tạm khóa người gửi và báo cho họ biết."),
    "lift_pause": ("Bỏ tạm khóa", "Đã bỏ tạm khóa và báo cho người gửi."),
    "grant_appeal": (
        "Chấp nhận phản đối",
        "Đã chấp nhận ý kiến phản đối và báo cho người gửi.",
    ),
    "keep_pause": (
        "Không chấp nhận phản đối",
        "Đã trả lời ý kiến phản đối và báo cho người gửi.",
    ),
    "invite": ("Mời cán bộ", "Đã mời. Người này vào bằng cách đăng nhập Thái Nguyên ID ở mức 2."),
    "rename": ("Lưu họ tên", "Đã lưu họ tên."),
    "add_role": ("Thêm vai trò", "Đã lưu vai trò."),
    "remove_role": ("Gỡ", "Đã gỡ vai trò."),
    "disable": ("Khóa tài khoản", "Đã khóa tài khoản và kết thúc các phiên làm việc."),
    "release": ("Gỡ tài khoản đã gắn", "Đã gỡ tài khoản và kết thúc các phiên làm việc."),
    "enable": ("Mở khóa tài khoản", "Đã mở khóa tài khoản."),
}
# What the system does when a request is finished, said before it is done.
REMEDIES = {
    "export": "Lập bản sao toàn bộ dữ liệu; người yêu cầu được báo khi tải được, trong 7 ngày",
    "deletion": "Hẹn xóa tài khoản và dữ liệu cá nhân sau 7 ngày; người yêu cầu được báo và có thể "
    "hủy trước lúc đó",
    "end_relation": "Kết thúc quan hệ với trẻ và xóa ngay thông tin đã khai về trẻ",
    "withdraw": "Rút lại mọi sự đồng ý đang có; việc xử lý theo luật vẫn tiếp tục",
}
NO_REMEDY = {
    "correct": "Họ tên, số định danh và ngày sinh lấy từ Thái Nguyên ID, được sửa ở "
    "đó; số điện thoại, nơi ở và ngôn ngữ do người dân tự sửa trong ứng dụng. Hãy ghi đã hướng dẫn "
    "hoặc đã làm gì.",
    "protect": "Hệ thống không tự làm được việc này. Hãy ghi biện pháp đã thực hiện.",
}
NO_REMEDY_NOW = (
    "Hệ thống không có gì để tự thực hiện cho yêu cầu này: không có sự đồng ý nào đang có, quan hệ "
    "đã kết thúc, hoặc việc xóa đã được hẹn. Hãy ghi đã làm gì."
)
EVENTS = {
    "created": "Người dân gửi phản ánh",
    "assign": "Phân công cho đơn vị",
    "hand_over": "Chuyển đơn vị khác",
    "return": "Trả lại điều phối",
    "claim": "Nhận xử lý",
    "resolve": "Báo kết quả",
    "reject": "Không tiếp nhận",
    "reconsider": "Xem xét lại",
    "reopen": "Mở lại",
    "rated": "Người dân đánh giá",
    "edited": "Sửa thông tin",
    "recategorised": "Sửa lĩnh vực",
    "give_back": "Trở về hàng đợi của đơn vị",
}
ACTORS = {
    "citizen": "Người dân",
    "staff": "Cán bộ",
    "facility": "Cơ sở",
    "system": "Hệ thống",
}
SUBJECTS = {
    "report": "Phản ánh",
    "session": "Phiên đăng nhập",
    "staff": "Cán bộ",
    "audit": "Nhật ký",
    "consent": "Sự đồng ý",
    "data_request": "Yêu cầu về dữ liệu",
    "child": "Quan hệ giám hộ",
    "breach": "Sự cố dữ liệu",
    "citizen": "Tài khoản",
}
PURPOSES = {
    Purpose.REPORT_HANDLING: "xử lý phản ánh",
    Purpose.DATA_REQUEST_HANDLING: "xử lý yêu cầu về dữ liệu cá nhân",
    Purpose.GUARDIAN_CHECK: "kiểm tra quan hệ giám hộ",
    Purpose.OVERSIGHT: "kiểm tra",
}
READ = {
    "name": "họ tên",
    "citizen_number": "số định danh",
    "child": "thông tin về trẻ",
    "access_log": "nhật ký truy cập",
}
CLOCKS = {
    "on_time": "Còn hạn",
    "due_soon": "Sắp đến hạn",
    "late": "Quá hạn",
    "very_late": "Quá hạn lâu",
    "stopped": "Đã xong",
}
REASONS = {
    "not_ours": "Không thuộc thẩm quyền",
    "no_action": "Không có việc cần xử lý",
    "insufficient": "Không đủ thông tin",
    "abusive": "Nội dung không phù hợp",
}
EDITED = {
    "category": "lĩnh vực",
    "public_text": "nội dung công khai",
    "visibility": "công khai hay không",
}
FIELDS = {
    "department": "đơn vị",
    "reason": "lý do",
    "text": "nội dung trả lời",
    "public_text": "nội dung công khai",
}
DATA_REQUESTS = {
    "view": "Xem dữ liệu",
    "correct": "Chỉnh sửa dữ liệu",
    "copy": "Cung cấp bản sao",
    "delete": "Xóa dữ liệu",
    "restrict": "Hạn chế xử lý",
    "object": "Phản đối xử lý",
    "withdraw": "Rút lại sự đồng ý",
    "protect": "Áp dụng biện pháp bảo vệ",
}
DATA_REQUEST_STATES = {
    "received": "Chờ trả lời",
    "accepted": "Đã chấp nhận, chờ thực hiện",
    "refused": "Đã từ chối",
    "done": "Đã thực hiện",
}
REFUSALS = {
    "law_requires": "Pháp luật buộc lưu giữ hoặc xử lý (Điều 14.2, 19.1)",
    "not_yours": "Không phải dữ liệu của người yêu cầu hoặc của trẻ họ đại diện",
    "harms_others": "Xâm phạm quyền, lợi ích của Nhà nước hoặc người khác (Điều 4.3)",
    "no_own_right": "Không nhằm bảo vệ quyền của chính người yêu cầu (Điều 4.3)",
    "unclear": "Chưa rõ cần làm gì; người dân cần gửi lại rõ hơn",
}
RELATIONS = {"parent": "Cha, mẹ", "guardian": "Người giám hộ"}
CHILD_STATES = {
    "pending": "Chờ kiểm tra",
    "confirmed": "Đã xác nhận",
    "refused": "Không xác nhận",
    "ended": "Đã kết thúc",
}
NOTIFIABLE = {None: "Chưa xác định", True: "Phải thông báo", False: "Không phải thông báo"}
ROLES = {
    Role.DISPATCHER: "Điều phối",
    Role.HANDLER: "Xử lý",
    Role.LEADER: "Lãnh đạo",
    Role.COMMUNICATOR: "Truyền thông",
    Role.HEALTH_CLERK: "Tiếp đón y tế",
    Role.HEALTH_MANAGER: "Quản lý y tế",
    Role.MARKET_MANAGER: "Quản lý chợ",
    Role.ALERT_EDITOR: "Soạn cảnh báo",
    Role.ALERT_APPROVER: "Duyệt cảnh báo",
    Role.AUDITOR: "Kiểm tra nhật ký",
    Role.ADMINISTRATOR: "Quản trị",
}
# The headline and the sentence of a page that only says what went wrong, by status.
PROBLEMS = {
    400: ("Yêu cầu không đúng", "Máy chủ không hiểu yêu cầu này."),
    401: (
        "Phiên làm việc đã kết thúc",
        "Vui lòng đăng nhập lại. Nội dung vừa gửi chưa được lưu.",
    ),
    403: ("Không có quyền", "Bạn không có quyền làm việc này."),
    404: ("Không tìm thấy", "Không có trang này, hoặc trang không thuộc phạm vi của bạn."),
    405: ("Không dùng được cách này", "Địa chỉ này không nhận yêu cầu như vậy."),
    409: ("Dữ liệu đã thay đổi", "Vui lòng tải lại trang rồi làm lại."),
    413: ("Nội dung quá lớn", "Nội dung gửi lên vượt quá giới hạn cho phép."),
    422: ("Nội dung chưa đúng", "Một số nội dung chưa hợp lệ."),
    429: ("Quá nhiều yêu cầu", "Vui lòng chờ ít phút rồi thử lại."),
    500: ("Hệ thống gặp lỗi", "Vui lòng thử lại. Nếu vẫn lỗi, hãy báo kèm mã yêu cầu."),
    503: ("Tạm thời không phục vụ được", "Vui lòng thử lại sau ít phút."),
}
_MESSAGES = {
    "body_too_large": "Nội dung gửi lên vượt quá giới hạn cho phép.",
    "field_needed": "Vui lòng điền {field}.",
    "illegal_move": "Phản ánh đang ở trạng thái “{state}”, không chuyển sang “{to}” được.",
    "public_text_needed": "Muốn công khai, vui lòng viết nội dung công khai đã duyệt.",
    "unknown_department": "Vui lòng chọn một đơn vị đang hoạt động.",
    "unknown_reason": "Vui lòng chọn một lý do trong danh sách.",
    "unknown_category": "Vui lòng chọn một lĩnh vực trong danh sách.",
    "stale": "Người khác vừa thay đổi nội dung này. Nội dung bạn nhập vẫn được giữ.",
    "unknown_refusal": "Vui lòng chọn một căn cứ trong danh sách.",
    "department_needed": "Vai trò “{role}” gắn với một đơn vị. Vui lòng chọn đơn vị.",
    "department_unfit": "Vai trò “{role}” không gắn với đơn vị nào. Vui lòng bỏ chọn đơn vị.",
    "places_unfit": "Vai trò “{role}” không giới hạn theo xã, phường. Vui lòng bỏ chọn.",
    "role_not_in_use": "Hệ thống chưa có việc cho vai trò “{role}” nên chưa giao được.",
    "unknown_places": "Vui lòng chọn xã, phường trong danh sách.",
    "role_twice": "Vai trò “{role}” đã có cho đơn vị này.",
}


def message(error: DomainError) -> str:
    """The error in a clerk's words: the API names fields and codes, a page names labels."""
    template = _MESSAGES.get(error.code)
    if template is None:
        return error.message("vi")
    facts = {name: _word(str(value)) for name, value in error.facts.items()}
    return template.format_map(facts)


def problem(status: int) -> tuple[str, str]:
    return PROBLEMS.get(status) or PROBLEMS[500 if status >= 500 else 400]  # noqa: PLR2004


def roles(names: Iterable[str]) -> str:
    return ", ".join(ROLES[Role(name)] for name in names)


def role(name: str) -> str:
    """A role as the record names it, one that only a newer release knows by its code."""
    return ROLES.get(Role(name), name) if name in set(Role) else name


def deed(action: str) -> str:
    return audit.title(action, "vi")


def remedy(code: str) -> str:
    """What the system will do, as services.privacy.remedies calls it."""
    _, _, purpose = code.partition(":")
    if purpose:
        # One that was agreed to before its purpose was taken off the list has its code only.
        known = purpose in set(ConsentPurpose)
        title = wording(ConsentPurpose(purpose), "vi").title if known else purpose
        return f"Rút lại sự đồng ý: {title}"
    return REMEDIES[code]


def facts(event: Any) -> str:
    """What the record says beside who, what and whom; codes where there are no words."""
    detail = dict(event.detail)
    read = [READ.get(name, name) for name in detail.pop("fields", [])] if event.about_id else []
    told = {
        "mục đích": event.purpose and PURPOSES.get(event.purpose, event.purpose),
        "đã xem": ", ".join(read),
        **{name: _plain(value) for name, value in detail.items()},
    }
    return "; ".join(f"{name}: {value}" for name, value in told.items() if value)


def duration(delta: dt.timedelta) -> str:
    """The largest unit says enough for a list: "5 phút", "3 giờ", "2 ngày"."""
    minutes = max(0, int(delta.total_seconds() // 60))
    if minutes < 60:  # noqa: PLR2004 - an hour
        return f"{minutes} phút"
    hours = minutes // 60
    return f"{hours} giờ" if hours < 24 else f"{hours // 24} ngày"  # noqa: PLR2004 - a day


def local(moment: dt.datetime) -> str:
    return local_time(moment)


def to_the_second(moment: dt.datetime) -> str:
    return f"{moment.astimezone(ZONE):%d/%m/%Y %H:%M:%S}"


def day(date: dt.date) -> str:
    return f"{date:%d/%m/%Y}"


def local_input(moment: dt.datetime | None) -> str:
    """A moment as the field of a form takes it."""
    return f"{moment.astimezone(ZONE):%Y-%m-%dT%H:%M}" if moment else ""


def remaining(due: dt.datetime, now: dt.datetime) -> str:
    """To the minute while it is about hours: "còn 71 giờ 5 phút", "quá 3 giờ", "quá 12 ngày"."""
    left = abs(due - now)
    hours, minutes = divmod(int(left.total_seconds() // 60), 60)
    parts = [f"{hours} giờ"] if hours else []
    if minutes or not hours:
        parts.append(f"{minutes} phút")
    told = duration(left) if left > dt.timedelta(days=4) else " ".join(parts)
    return f"{'còn' if due >= now else 'quá'} {told}"


def event_text(kind: str, text: str | None) -> str | None:
    """An edit is told by the names of its fields; everything else by the words that were sent."""
    if kind != "edited" or text is None:
        return text
    return ", ".join(EDITED.get(name, name) for name in text.split(", "))


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} = {each}" for name, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _word(code: str) -> str:
    return STATES.get(code) or FIELDS.get(code) or dict[str, str](ROLES).get(code) or code
