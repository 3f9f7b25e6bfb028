"""Words of HTTP's own errors and of field validation, in both languages."""

import re

TITLES = {
    "vi": {
        400: "Yêu cầu không đúng",
        401: "Chưa đăng nhập",
        403: "Không có quyền",
        404: "Không tìm thấy",
        405: "Phương thức không dùng được",
        406: "Không có dạng phù hợp",
        408: "Hết thời gian chờ",
        409: "Mâu thuẫn dữ liệu",
        410: "Đã hết thời hạn",
        412: "Dữ liệu đã thay đổi",
        413: "Quá lớn",
        414: "Địa chỉ quá dài",
        415: "Loại dữ liệu không được nhận",
        422: "Giá trị không hợp lệ",
        428: "Thiếu điều kiện If-Match",
        429: "Quá nhiều yêu cầu",
        460: "Sai mã kiểm",
        500: "Lỗi hệ thống",
        503: "Tạm thời không phục vụ được",
    },
    "en": {460: "Checksum Mismatch"},
}
HTTP_DETAILS = {
    "vi": {
        400: "Máy chủ không hiểu yêu cầu này.",
        401: "Vui lòng đăng nhập.",
        403: "Bạn không có quyền làm việc này.",
        404: "Không có gì ở địa chỉ này.",
        405: "Địa chỉ này không nhận phương thức đó.",
        406: "Không có dạng dữ liệu mà bạn yêu cầu.",
        413: "Nội dung gửi lên quá lớn.",
        414: "Địa chỉ quá dài.",
        415: "Loại nội dung này không được nhận.",
        422: "Một số giá trị không hợp lệ; xem errors.",
        500: "Hệ thống gặp lỗi. Vui lòng thử lại; nếu vẫn lỗi, hãy báo kèm request_id.",
    },
    "en": {
        400: "The server does not understand this request.",
        401: "Please sign in.",
        403: "You may not do this.",
        404: "There is nothing at this address.",
        405: "This address does not take that method.",
        406: "There is no representation of the kind you ask for.",
        413: "The content is too large.",
        414: "The address is too long.",
        415: "This kind of content is not accepted.",
        422: "Some of the values are not right; see errors.",
        500: "Something went wrong here. Please try again; if it persists, tell us the request_id.",
    },
}

# marshmallow and webargs speak English; these are their sentences, with what they name.
_FIELD_MESSAGES = [
    (re.compile(pattern), vietnamese)
    for pattern, vietnamese in (
        (r"Missing data for required field\.", "Thiếu trường bắt buộc."),
        (r"Field may not be null\.", "Không được để null."),
        (r"Unknown field\.", "Không có trường này."),
        (r"Invalid input type\.", "Phải là một đối tượng JSON."),
        (r"Not a valid string\.", "Phải là chuỗi ký tự."),
        (r"Not a valid integer\.", "Phải là số nguyên."),
        (r"Not a valid number\.", "Phải là số."),
        (r"Not a valid boolean\.", "Phải là true hoặc false."),
        (r"Not a valid list\.", "Phải là một danh sách."),
        (r"Not a valid UUID\.", "Phải là mã UUID."),
        (r"Not a valid (?:aware )?datetime\.", "Phải là thời điểm dạng RFC 3339."),
        (r"Not a valid date\.", "Phải là ngày dạng YYYY-MM-DD."),
        (r"Must be one of: (.+)\.", r"Phải là một trong: \1."),
        (r"Length must be between (\d+) and (\d+)\.", r"Độ dài phải từ \1 đến \2."),
        (r"Shorter than minimum length (\d+)\.", r"Ngắn hơn \1 ký tự."),
        (r"Longer than maximum length (\d+)\.", r"Dài hơn \1 ký tự."),
        (
            r"Must be greater than or equal to (\S+) and less than or equal to (\S+)\.",
            r"Phải từ \1 đến \2.",
        ),
        (r"Must be greater than or equal to (\S+)\.", r"Phải từ \1 trở lên."),
        (r"Must be less than or equal to (\S+)\.", r"Phải không quá \1."),
        (r"String does not match expected pattern\.", "Không đúng dạng quy định."),
    )
]


def field_message(english: str, locale: str) -> str:
    """A validation message in the reader's language; in doubt a general one, never English."""
    if locale == "en":
        return english
    for pattern, vietnamese in _FIELD_MESSAGES:
        if match := pattern.fullmatch(english):
            return match.expand(vietnamese)
    return "Giá trị không hợp lệ."
