"""What is recorded, and how it is called where people read the record."""

import enum
from typing import Literal, get_args

# What a deed is done to.
Subject = Literal[
    "report", "session", "staff", "audit", "consent", "data_request", "child", "breach", "citizen"
]
SUBJECTS: tuple[str, ...] = get_args(Subject)


class Deed(enum.StrEnum):
    """Every deed that is recorded; "subject:verb"."""

    REPORT_CREATE = "report:create"
    REPORT_EDIT = "report:edit"
    REPORT_RATE = "report:rate"
    REPORT_ASSIGN = "report:assign"
    REPORT_HAND_OVER = "report:hand_over"
    REPORT_RETURN = "report:return"
    REPORT_CLAIM = "report:claim"
    REPORT_RESOLVE = "report:resolve"
    REPORT_REJECT = "report:reject"
    REPORT_RECONSIDER = "report:reconsider"
    REPORT_REOPEN = "report:reopen"
    REPORT_GIVE_BACK = "report:give_back"
    REPORT_READ_REPORTER = "report:read_reporter"
    REPORT_PAUSE_REPORTER = "report:block_reporter"
    REPORT_LIFT_PAUSE = "report:unblock_reporter"
    REPORT_APPEAL_PAUSE = "report:appeal_pause"
    REPORT_GRANT_APPEAL = "report:grant_appeal"
    REPORT_KEEP_PAUSE = "report:keep_pause"
    SESSION_START = "session:start"
    SESSION_ALARM = "session:alarm"
    SESSION_RENAME = "session:rename"
    SESSION_END = "session:end"
    ADMIN_SESSION_START = "admin_session:start"
    ADMIN_SESSION_END = "admin_session:end"
    STAFF_REFUSE_ENTRY = "staff:refuse_entry"
    STAFF_INVITE = "staff:invite"
    STAFF_RENAME = "staff:rename"
    STAFF_CHANGE_ROLES = "staff:change_roles"
    STAFF_DISABLE = "staff:disable"
    STAFF_ENABLE = "staff:enable"
    STAFF_RELEASE = "staff:release"
    CONSENT_GIVE = "consent:give"
    CONSENT_WITHDRAW = "consent:withdraw"
    DATA_REQUEST_SUBMIT = "data_request:submit"
    DATA_REQUEST_ACCEPT = "data_request:accept"
    DATA_REQUEST_REFUSE = "data_request:refuse"
    DATA_REQUEST_FINISH = "data_request:finish"
    DATA_REQUEST_EXTEND = "data_request:extend"
    DATA_REQUEST_INVOLVE = "data_request:involve"
    DATA_REQUEST_READ_PERSON = "data_request:read_person"
    CITIZEN_EDIT = "citizen:edit"
    CITIZEN_ASK_DELETION = "citizen:ask_deletion"
    CITIZEN_UNDO_DELETION = "citizen:undo_deletion"
    CITIZEN_ERASE = "citizen:erase"
    CITIZEN_EXPORT = "citizen:export"
    CHILD_NAME = "child:name"
    CHILD_RELEASE = "child:release"
    CHILD_END = "child:end"
    CHILD_READ = "child:read"
    CHILD_CONFIRM = "child:confirm"
    CHILD_REFUSE = "child:refuse"
    BREACH_RECORD = "breach:record"
    BREACH_EDIT = "breach:edit"
    BREACH_NOTIFY = "breach:notify"
    BREACH_CLOSE = "breach:close"
    AUDIT_SEARCH = "audit:search"
    AUDIT_VERIFY = "audit:verify"


class Purpose(enum.StrEnum):
    """What a citizen's personal data was looked at for."""

    REPORT_HANDLING = "report_handling"
    DATA_REQUEST_HANDLING = "data_request_handling"
    GUARDIAN_CHECK = "guardian_check"
    OVERSIGHT = "oversight"


# In Vietnamese and in English; read by citizens too, so without the words of the office.
_TITLES = {
    Deed.REPORT_CREATE: ("Gửi phản ánh", "Sent a report"),
    Deed.REPORT_EDIT: ("Sửa thông tin phản ánh", "Changed a report"),
    Deed.REPORT_RATE: ("Đánh giá kết quả", "Rated a result"),
    Deed.REPORT_ASSIGN: ("Phân công phản ánh", "Assigned a report"),
    Deed.REPORT_HAND_OVER: ("Chuyển phản ánh cho đơn vị khác", "Handed a report over"),
    Deed.REPORT_RETURN: ("Trả lại phản ánh", "Gave a report back"),
    Deed.REPORT_CLAIM: ("Nhận xử lý phản ánh", "Took a report on"),
    Deed.REPORT_RESOLVE: ("Báo kết quả phản ánh", "Resolved a report"),
    Deed.REPORT_REJECT: ("Không tiếp nhận phản ánh", "Rejected a report"),
    Deed.REPORT_RECONSIDER: ("Xem xét lại phản ánh", "Reconsidered a report"),
    Deed.REPORT_REOPEN: ("Mở lại phản ánh", "Reopened a report"),
    Deed.REPORT_GIVE_BACK: (
        "Đưa phản ánh về hàng đợi của đơn vị",
        "Gave a colleague's report back to the department",
    ),
    Deed.REPORT_PAUSE_REPORTER: ("Tạm khóa người gửi phản ánh", "Had a reporter pause"),
    Deed.REPORT_LIFT_PAUSE: (
        "Bỏ tạm khóa người gửi phản ánh",
        "Ended the pause of a reporter",
    ),
    Deed.REPORT_APPEAL_PAUSE: ("Phản đối việc tạm khóa", "Appealed against a pause"),
    Deed.REPORT_GRANT_APPEAL: (
        "Chấp nhận phản đối về lần tạm khóa đã hết hạn",
        "Granted an appeal against a pause that had run out",
    ),
    Deed.REPORT_KEEP_PAUSE: (
        "Giữ việc tạm khóa sau khi xem ý kiến phản đối",
        "Kept a pause after an appeal",
    ),
    Deed.REPORT_READ_REPORTER: ("Xem ai đã gửi phản ánh", "Looked at who sent a report"),
    Deed.SESSION_START: ("Đăng nhập", "Signed in"),
    Deed.SESSION_ALARM: (
        "Kết thúc phiên vì mã đăng nhập bị dùng lại",
        "Ended a session whose token was used twice",
    ),
    Deed.SESSION_RENAME: ("Đặt tên thiết bị", "Named a device"),
    Deed.SESSION_END: ("Kết thúc phiên đăng nhập", "Ended a session"),
    Deed.ADMIN_SESSION_START: ("Vào trang cán bộ", "Entered the staff view"),
    Deed.ADMIN_SESSION_END: ("Rời trang cán bộ", "Left the staff view"),
    Deed.STAFF_REFUSE_ENTRY: (
        "Bị từ chối vào khu vực cán bộ",
        "Was refused where only staff may enter",
    ),
    Deed.STAFF_INVITE: ("Mời cán bộ hoặc đổi vai trò", "Invited staff or changed their roles"),
    Deed.STAFF_RENAME: ("Sửa họ tên cán bộ", "Corrected the name of a member of staff"),
    Deed.STAFF_CHANGE_ROLES: ("Đổi vai trò cán bộ", "Changed the roles of a member of staff"),
    Deed.STAFF_DISABLE: ("Khóa tài khoản cán bộ", "Disabled a member of staff"),
    Deed.STAFF_ENABLE: ("Mở khóa tài khoản cán bộ", "Enabled a member of staff again"),
    Deed.STAFF_RELEASE: (
        "Gỡ tài khoản khỏi cán bộ",
        "Took a member of staff apart from an account",
    ),
    Deed.CONSENT_GIVE: ("Đồng ý cho xử lý dữ liệu", "Gave consent"),
    Deed.CONSENT_WITHDRAW: ("Rút lại sự đồng ý", "Withdrew consent"),
    Deed.DATA_REQUEST_SUBMIT: (
        "Gửi yêu cầu về dữ liệu cá nhân",
        "Sent a request about personal data",
    ),
    Deed.DATA_REQUEST_ACCEPT: ("Chấp nhận yêu cầu về dữ liệu", "Accepted a request about data"),
    Deed.DATA_REQUEST_REFUSE: ("Từ chối yêu cầu về dữ liệu", "Refused a request about data"),
    Deed.DATA_REQUEST_FINISH: (
        "Thực hiện xong yêu cầu về dữ liệu",
        "Carried out a request about data",
    ),
    Deed.DATA_REQUEST_EXTEND: ("Gia hạn yêu cầu về dữ liệu", "Extended a request about data"),
    Deed.DATA_REQUEST_INVOLVE: (
        "Ghi bên thứ ba cho yêu cầu về dữ liệu",
        "Involved a third party in a request about data",
    ),
    Deed.DATA_REQUEST_READ_PERSON: (
        "Xem ai đã gửi yêu cầu về dữ liệu",
        "Looked at who sent a request about data",
    ),
    Deed.CITIZEN_EDIT: ("Sửa thông tin tài khoản", "Changed the account's data"),
    Deed.CITIZEN_ASK_DELETION: ("Yêu cầu xóa tài khoản", "Asked for the account to be deleted"),
    Deed.CITIZEN_UNDO_DELETION: ("Rút yêu cầu xóa tài khoản", "Kept the account after all"),
    Deed.CITIZEN_ERASE: ("Xóa tài khoản", "Deleted an account"),
    Deed.CITIZEN_EXPORT: ("Tải bản sao dữ liệu cá nhân", "Got a copy of the personal data"),
    Deed.CHILD_NAME: ("Khai trẻ mà mình đại diện", "Named a child to act for"),
    Deed.CHILD_RELEASE: ("Thôi đại diện cho trẻ", "Stopped acting for a child"),
    Deed.CHILD_END: ("Kết thúc quan hệ với trẻ", "Ended a relation to a child"),
    Deed.CHILD_READ: (
        "Xem thông tin trẻ và người khai",
        "Looked at a child and who named them",
    ),
    Deed.CHILD_CONFIRM: ("Xác nhận quan hệ với trẻ", "Confirmed a relation to a child"),
    Deed.CHILD_REFUSE: ("Từ chối quan hệ với trẻ", "Refused a relation to a child"),
    Deed.BREACH_RECORD: ("Ghi sự cố dữ liệu vào sổ", "Recorded a breach"),
    Deed.BREACH_EDIT: ("Sửa hồ sơ sự cố dữ liệu", "Changed the record of a breach"),
    Deed.BREACH_NOTIFY: (
        "Ghi đã thông báo sự cố dữ liệu",
        "Noted that the authority was told of a breach",
    ),
    Deed.BREACH_CLOSE: ("Đóng sự cố dữ liệu", "Closed a breach"),
    Deed.AUDIT_SEARCH: ("Tra cứu nhật ký", "Searched the audit log"),
    Deed.AUDIT_VERIFY: ("Kiểm tra chuỗi nhật ký", "Verified the chain of the audit log"),
}


def title(deed: str, locale: str) -> str:
    """What a deed is called; one that only a newer release knows is called by its code."""
    if deed not in _TITLES:
        return deed
    vietnamese, english = _TITLES[Deed(deed)]
    return english if locale == "en" else vietnamese
