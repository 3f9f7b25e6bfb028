"""The words of invented reports and people, for dev/seed.py: ours, and nobody's real name."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Topic:
    """What is written of one category, how often it comes, and the department that answers."""

    weight: int
    department: str
    troubles: tuple[str, ...]
    results: tuple[str, ...]


TOPICS = {
    "giao-thong": Topic(
        26,
        "so-xay-dung",
        (
            "Ổ gà sâu giữa mặt đường",
            "Nắp hố ga bị vỡ, xe máy dễ sụp bánh",
            "Biển báo giới hạn tốc độ bị cây che khuất",
            "Lề đường sạt lở sau trận mưa lớn",
            "Vạch sang đường trước cổng trường đã mờ hẳn",
            "Đèn tín hiệu ở ngã tư không chuyển pha",
        ),
        (
            "Đã vá lại mặt đường và lu lèn xong.",
            "Đã thay nắp hố ga bằng tấm bê tông mới.",
            "Đã kẻ lại vạch sơn và dựng thêm cọc tiêu.",
        ),
    ),
    "ve-sinh-moi-truong": Topic(
        20,
        "moi-truong-do-thi",
        (
            "Rác sinh hoạt dồn đống nhiều ngày chưa được thu gom",
            "Nước thải màu đen chảy ra mương tưới",
            "Có người đốt rác gây khói khét mỗi chiều",
            "Điểm tập kết rác bốc mùi ngay cạnh khu dân cư",
        ),
        (
            "Đã thu gom rác và rửa điểm tập kết.",
            "Đã lập biên bản và yêu cầu cơ sở dừng xả thải.",
        ),
    ),
    "chieu-sang": Topic(
        12,
        "dien-luc",
        (
            "Cả dãy đèn đường không sáng",
            "Bóng đèn chớp tắt suốt đêm",
            "Cột đèn nghiêng về phía nhà dân",
        ),
        ("Đã thay bóng và kiểm tra tủ điều khiển.", "Đã dựng lại cột và siết chân đế."),
    ),
    "ngap-nuoc": Topic(
        8,
        "nuoc-sach",
        (
            "Nước dâng quá bánh xe sau mưa hai tiếng",
            "Cống thoát nước bị đất bồi lấp",
            "Ống cấp nước rò rỉ, chảy tràn ra ngõ",
        ),
        ("Đã nạo vét lòng cống và thông dòng chảy.", "Đã thay đoạn ống bị rò rỉ."),
    ),
    "cay-xanh": Topic(
        7,
        "moi-truong-do-thi",
        (
            "Cành cây khô sắp gãy trên lối đi bộ",
            "Cây đổ chắn nửa lòng đường",
            "Rễ cây làm bong gạch vỉa hè",
        ),
        ("Đã cắt cành và dọn sạch lối đi.", "Đã trồng dặm cây mới thay cây gãy."),
    ),
    "trat-tu-do-thi": Topic(
        8,
        "so-xay-dung",
        (
            "Hàng quán bày hết vỉa hè, người đi bộ phải xuống lòng đường",
            "Vật liệu xây dựng đổ tràn ra ngõ",
            "Biển quảng cáo dựng sai chỗ, che tầm nhìn",
        ),
        ("Đã nhắc nhở và giải tỏa phần lấn chiếm.", "Đã yêu cầu chủ công trình dọn vật liệu."),
    ),
    "an-ninh-trat-tu": Topic(
        4,
        "cong-an-tinh",
        (
            "Nhóm thanh niên tụ tập nẹt pô xe lúc nửa đêm",
            "Quán hát mở loa rất to sau mười một giờ đêm",
        ),
        ("Đã cử tổ tuần tra và xử lý vi phạm.",),
    ),
    "an-toan-thuc-pham": Topic(
        3,
        "so-y-te",
        (
            "Hàng ăn để thực phẩm sống lẫn thức ăn chín",
            "Cửa hàng bán đồ hộp đã quá hạn dùng",
        ),
        ("Đã kiểm tra cơ sở và lập biên bản.",),
    ),
    "y-te": Topic(
        3,
        "so-y-te",
        ("Trạm y tế hết vắc-xin mà không báo lịch mới", "Phải chờ khám quá lâu dù đã đặt lịch"),
        ("Đã bổ sung vắc-xin và công khai lịch tiêm.",),
    ),
    "giao-duc": Topic(
        3,
        "so-giao-duc-va-dao-tao",
        ("Mái che sân trường bị dột", "Khoản thu đầu năm chưa được giải thích rõ"),
        ("Nhà trường đã sửa chữa và báo lại phụ huynh.",),
    ),
    "dich-vu-cong": Topic(
        4,
        "trung-tam-phuc-vu-hanh-chinh-cong",
        ("Hồ sơ đất đai nộp đã quá ngày hẹn trả", "Trang nộp hồ sơ báo lỗi khi tải giấy tờ"),
        ("Đã trả kết quả hồ sơ và gửi lời xin lỗi.",),
    ),
    "khac": Topic(
        2,
        "van-phong-ubnd",
        ("Nhà văn hóa tổ dân phố khóa cửa cả tuần", "Loa phát thanh của xóm bị hỏng"),
        ("Đã chuyển bộ phận phụ trách giải quyết xong.",),
    ),
}
SPOTS = (
    "trước nhà số {number}",
    "đoạn gần cổng chợ",
    "ngay đầu ngõ {number}",
    "phía sau nhà văn hóa xóm",
    "cạnh cây cầu nhỏ",
    "đối diện trường tiểu học",
)
DURATIONS = ("mới từ sáng nay", "đã ba hôm nay", "hơn một tuần nay", "cả tháng nay", "từ sau Tết")
WISHES = (
    "Mong cơ quan chức năng sớm xử lý.",
    "Người già và trẻ nhỏ đi lại rất nguy hiểm.",
    "Bà con trong xóm đã góp ý nhiều lần.",
    "Xin cảm ơn.",
    "",
)
REFUSALS = {
    "not_ours": "Nội dung không thuộc thẩm quyền của tỉnh; mời liên hệ cơ quan quản lý ngành dọc.",
    "no_action": "Đã kiểm tra tại chỗ, hiện trạng không còn như phản ánh.",
    "insufficient": "Chưa đủ thông tin về địa điểm; mời gửi lại kèm ảnh.",
    "abusive": "Nội dung có lời lẽ không phù hợp.",
}
REASONS = {
    "hand_over": "Địa bàn này do đơn vị bạn quản lý.",
    "return": "Không đúng lĩnh vực của đơn vị.",
    "reopen": "Chỗ này vẫn chưa được sửa xong.",
}
VERDICTS = ("Làm nhanh, cảm ơn.", "Chấp nhận được.", "Còn chậm.")
STREETS = ("Bến Tượng", "Phan Đình Phùng", "Minh Cầu", "Thống Nhất", "Cách Mạng Tháng Tám")
FAMILY_NAMES = (
    "Nguyễn", "Trần", "Lê", "Hoàng", "Ma", "Nông", "Lý", "Dương", "Triệu", "Phạm", "Vũ", "Hà",
)  # fmt: skip
MIDDLE_NAMES = ("Văn", "Thị", "Đức", "Thu", "Minh", "Ngọc", "Hữu", "Thanh", "Quang", "Kim")
GIVEN_NAMES = (
    "An", "Bình", "Chi", "Dũng", "Giang", "Hải", "Hạnh", "Khánh", "Lan", "Long", "Mai", "Nam",
    "Oanh", "Phúc", "Quỳnh", "Sơn", "Thảo", "Tuấn", "Vân", "Yến",
)  # fmt: skip
PHONES = (
    ("android", "SM-A155F"),
    ("android", "Redmi Note 13"),
    ("android", "CPH2591"),
    ("ios", "iPhone14,5"),
    ("ios", "iPhone12,8"),
)
APP_VERSIONS = ("1.0.3", "1.1.0", "1.2.4")
