"""python -m simulators.bhxh_gateway --port 8002."""

from flask import Flask

from simulators.arguments import port_from_arguments
from simulators.placeholder import create_placeholder
from simulators.serve import serve


def create_app() -> Flask:
    return create_placeholder(
        "Cổng giám định bảo hiểm y tế (mô phỏng): sẽ trả lời tra cứu thẻ như cổng thật."
    )


if __name__ == "__main__":
    port = port_from_arguments("simulators.bhxh_gateway", 8002)
    serve("simulators.bhxh_gateway.__main__:create_app", port)
