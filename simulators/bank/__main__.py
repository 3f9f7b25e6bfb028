"""python -m simulators.bank --port 8003."""

from flask import Flask

from simulators.arguments import port_from_arguments
from simulators.placeholder import create_placeholder
from simulators.serve import serve


def create_app() -> Flask:
    return create_placeholder(
        "Ngân hàng (mô phỏng): sẽ nhận chuyển khoản VietQR và báo có cho tiểu thương."
    )


if __name__ == "__main__":
    serve("simulators.bank.__main__:create_app", port_from_arguments("simulators.bank", 8003))
