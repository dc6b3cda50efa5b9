// Orders over gRPC-Web, as a browser calls, through stubs that protoc-gen-es makes from our proto
// files.

import assert from "node:assert/strict";

import { equals } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-node";

import { BookingStatus } from "./ext/maps/booking/partner/v3/order_pb.js";
import {
  BookingService,
  CreateOrderResponseSchema,
} from "./ext/maps/booking/partner/v3/service_pb.js";
import { OrderFulfillability_OrderFulfillabilityResult as Result } from "./ext/maps/booking/partner/v3/fulfillability_pb.js";
import { BadRequestSchema } from "./google/rpc/error_details_pb.js";

const { ADDRESS, START } = process.env;

const line = {
  serviceId: "museum-entry",
  startSec: BigInt(START),
  durationSec: 7200n,
  tickets: [{ ticketId: "adult", count: 2 }],
  price: { priceMicros: 50_000_000n, currencyCode: "USD" },
};

async function checks(client) {
  const { fulfillability } = await client.checkOrderFulfillability({ merchantId: "museum", item: [line] });
  assert.equal(fulfillability.result, Result.CAN_FULFILL);
}

async function createsOnce(client, token) {
  const order = {
    idempotencyToken: token,
    order: {
      merchantId: "museum",
      userInformation: { userId: token, givenName: "Ada", familyName: "Lovelace" },
      item: [line],
    },
  };
  const answer = await client.createOrder(order);
  assert.ok(equals(CreateOrderResponseSchema, await client.createOrder(order), answer));
  assert.equal(answer.result.case, "order");
  assert.equal(answer.result.value.item[0].status, BookingStatus.CONFIRMED);
  return answer.result.value.orderId;
}

async function lists(client, userId, orderId) {
  const listed = await client.listOrders({ ids: { case: "userId", value: userId } });
  assert.deepEqual(listed.order.map((each) => each.orderId), [orderId]);
}

async function readsAnError(client) {
  const rejected = await client.createOrder({ idempotencyToken: "web-rejected" }).then(
    (answer) => assert.fail(answer.$typeName),
    ConnectError.from,
  );
  assert.equal(rejected.code, Code.InvalidArgument);
  const [badRequest] = rejected.findDetails(BadRequestSchema);
  assert.deepEqual(badRequest.fieldViolations.map((found) => found.field), ["order"]);
}

for (const httpVersion of ["1.1", "2"]) {
  const token = `web-${httpVersion}`;
  const client = createClient(
    BookingService,
    createGrpcWebTransport({ baseUrl: `http://${ADDRESS}`, httpVersion, idleConnectionTimeoutMs: 1 }),
  );
  await checks(client);
  await lists(client, token, await createsOnce(client, token));
  await readsAnError(client);
}
