"""Orders over gRPC, through stubs that grpcio-tools makes from our proto files."""

import os

import grpc
from ext.maps.booking.partner.v3 import fulfillability_pb2, order_pb2, service_pb2, service_pb2_grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

CREATE = "/ext.maps.booking.partner.v3.BookingService/CreateOrder"


def main():
    with grpc.insecure_channel(os.environ["ADDRESS"]) as channel:
        stub = service_pb2_grpc.BookingServiceStub(channel)
        checks(stub)
        order_id = creates_once(channel)
        lists(stub, order_id)
        reads_an_error(stub)


def line():
    item = order_pb2.LineItem(
        service_id="museum-entry", start_sec=int(os.environ["START"]), duration_sec=7200
    )
    item.tickets.add(ticket_id="adult", count=2)
    item.price.price_micros, item.price.currency_code = 50_000_000, "USD"
    return item


def checks(stub):
    cart = service_pb2.CheckOrderFulfillabilityRequest(merchant_id="museum", item=[line()])
    verdict = stub.CheckOrderFulfillability(cart).fulfillability
    assert verdict.result == fulfillability_pb2.OrderFulfillability.CAN_FULFILL, verdict
    assert verdict.item_fulfillability[0].item == line(), verdict


def creates_once(channel):
    request = service_pb2.CreateOrderRequest(idempotency_token="python-grpc")
    request.order.merchant_id = "museum"
    user = request.order.user_information
    user.user_id, user.given_name, user.family_name = "python-grpc", "Ada", "Lovelace"
    request.order.item.append(line())
    # Without a deserializer, responses stay bytes.
    create = channel.unary_unary(CREATE, service_pb2.CreateOrderRequest.SerializeToString)
    answer, again = create(request), create(request)
    assert answer == again, (answer, again)
    order = service_pb2.CreateOrderResponse.FromString(answer).order
    assert order.order_id and order.item[0].status, order
    return order.order_id


def lists(stub, order_id):
    listed = stub.ListOrders(service_pb2.ListOrdersRequest(user_id="python-grpc")).order
    assert [order.order_id for order in listed] == [order_id], listed


def reads_an_error(stub):
    try:
        answer = stub.CreateOrder(service_pb2.CreateOrderRequest(idempotency_token="python-rejected"))
    except grpc.RpcError as error:
        status = rpc_status.from_call(error)
        fields = error_details_pb2.BadRequest()
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, error
        assert any(detail.Unpack(fields) for detail in status.details), status
        assert [found.field for found in fields.field_violations] == ["order"], fields
    else:
        raise AssertionError(answer)


main()
