"""What may be asked for by consent, and in which words.

Only what the province need not do stands here. What rests on law asks nobody's consent, since
refusing would change nothing (Law 91/2025/QH15, article 19.1): the account and its sessions,
receiving a report, handling it and answering it, security notices, warnings of disasters, the
audit log, the answer to a legal request.

A text that was shown is never rewritten: who agreed agreed to these words. Other words are another
version, added at the end, and everybody is asked again.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass


class Purpose(enum.StrEnum):
    """What somebody may agree to, each by itself."""

    CAMPAIGN_MESSAGES = "campaign_messages"
    SATISFACTION_SURVEYS = "satisfaction_surveys"
    RESEARCH = "research"
    PUBLISHED_PHOTOS = "published_photos"


@dataclass(frozen=True, slots=True)
class Wording:
    title: str
    text: str


Version = Mapping[str, Wording]

# By purpose, the versions of its text in the order of their time; the last one is shown.
TEXTS: Mapping[Purpose, tuple[Version, ...]] = {
    Purpose.CAMPAIGN_MESSAGES: (
        {
            "vi": Wording(
                "Tin về các chương trình của tỉnh",
                "Tôi đồng ý để tỉnh Thái Nguyên dùng xã, phường và ngôn ngữ tôi đã chọn trong ứng "
                "dụng để gửi cho tôi tin về các chương trình, đợt vận động và sự kiện của tỉnh. "
                "Tỉnh không chuyển dữ liệu này cho bên khác. Cảnh báo thiên tai và thông báo về "
                "phản ánh của tôi vẫn được gửi dù tôi không đồng ý. Tôi có thể rút lại sự đồng ý "
                "bất cứ lúc nào ở trang này; tin sẽ ngừng gửi ngay.",
            ),
            "en": Wording(
                "News of the province's programmes",
                "I agree that Thái Nguyên province uses the commune and the language that I chose "
                "in the app to send me news of its programmes, campaigns and events. It passes "
                "these data to nobody. Warnings of disasters and news of my reports come whether "
                "or not I agree. I can withdraw my consent on this page at any time; the messages "
                "then stop at once.",
            ),
        },
    ),
    Purpose.SATISFACTION_SURVEYS: (
        {
            "vi": Wording(
                "Khảo sát mức độ hài lòng",
                "Tôi đồng ý để tỉnh Thái Nguyên mời tôi trả lời khảo sát về chất lượng phục vụ sau "
                "khi phản ánh của tôi đã có kết quả, và ghép câu trả lời của tôi với lĩnh vực, xã, "
                "phường và cơ quan xử lý phản ánh đó. Kết quả chỉ được công bố dưới dạng số liệu "
                "tổng hợp. Đánh giá tôi tự gửi trong ứng dụng không phụ thuộc vào sự đồng ý này. "
                "Tôi có thể rút lại sự đồng ý bất cứ lúc nào ở trang này.",
            ),
            "en": Wording(
                "Satisfaction surveys",
                "I agree that Thái Nguyên province invites me to surveys about its services after "
                "my reports were resolved, and joins my answers with the category, the commune and "
                "the office of the report. Results are published as totals only. Ratings that I "
                "send in the app by myself do not depend on this consent. I can withdraw it on "
                "this page at any time.",
            ),
        },
    ),
    Purpose.RESEARCH: (
        {
            "vi": Wording(
                "Dùng phản ánh đã ẩn danh cho nghiên cứu",
                "Tôi đồng ý để tỉnh Thái Nguyên dùng nội dung, địa điểm và thời gian của các phản "
                "ánh tôi gửi, sau khi đã bỏ tên, số định danh, số điện thoại và những chi tiết "
                "nhận ra tôi, cho nghiên cứu và thống kê về dịch vụ công, giao thông và môi "
                "trường, kể cả cùng các trường đại học và viện nghiên cứu. Nếu tôi rút lại sự đồng "
                "ý, phản ánh của tôi không được đưa vào nghiên cứu mới; kết quả đã tổng hợp không "
                "thay đổi.",
            ),
            "en": Wording(
                "Anonymised reports for research",
                "I agree that Thái Nguyên province uses the text, place and time of the reports "
                "that I send, after removing my name, citizen number, phone number and details by "
                "which I could be recognised, for research and statistics on public services, "
                "roads and the environment, also together with universities and institutes. If I "
                "withdraw my consent, my reports go into no new research; totals that were made "
                "already stay as they are.",
            ),
        },
    ),
    Purpose.PUBLISHED_PHOTOS: (
        {
            "vi": Wording(
                "Hiện ảnh của tôi cùng phản ánh công khai",
                "Tôi đồng ý để ảnh tôi đính kèm được hiện cùng phản ánh khi cán bộ công khai phản "
                "ánh đó. Trước khi hiện, cán bộ che khuôn mặt và biển số xe; thông tin về máy ảnh "
                "và vị trí chụp đã được xóa khi tải lên. Tên tôi không hiện. Nếu tôi rút lại sự "
                "đồng ý, ảnh của tôi không còn hiện ở các phản ánh công khai.",
            ),
            "en": Wording(
                "My photos with a published report",
                "I agree that photos which I attach are shown with the report when staff publish "
                "it. Before that, staff black out faces and number plates; facts about the camera "
                "and the place were removed at the upload. My name is not shown. If I withdraw my "
                "consent, my photos are no longer shown with published reports.",
            ),
        },
    ),
}


def current(purpose: Purpose) -> int:
    """The number of the version that is shown; the first one is 1."""
    return len(TEXTS[purpose])


def wording(purpose: Purpose, locale: str) -> Wording:
    return TEXTS[purpose][-1][locale]
