// Orders over gRPC, through stubs that @grpc/proto-loader makes from our proto files.

import assert from "node:assert/strict";
import { promisify } from "node:util";

import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const { ADDRESS, START, PROTO_DIRS } = process.env;

const loaded = protoLoader.loadSync(
  ["ext/maps/booking/partner/v3/service.proto", "google/rpc/status.proto", "google/rpc/error_details.proto"],
  { includeDirs: PROTO_DIRS.split(":"), keepCase: true, longs: String, enums: String },
);
const packages = grpc.loadPackageDefinition(loaded);
const { BookingService } = packages.ext.maps.booking.partner.v3;

const line = {
  service_id: "museum-entry",
  start_sec: START,
  duration_sec: "7200",
  tickets: [{ ticket_id: "adult", count: 2 }],
  price: { price_micros: "50000000", currency_code: "USD" },
};
const order = {
  idempotency_token: "node-grpc",
  order: {
    merchant_id: "museum",
    user_information: { user_id: "node-grpc", given_name: "Ada", family_name: "Lovelace" },
    item: [line],
  },
};

const client = new BookingService(ADDRESS, grpc.credentials.createInsecure());
const call = (method, message) => promisify(client[method].bind(client))(message);

async function checks() {
  const { fulfillability } = await call("CheckOrderFulfillability", { merchant_id: "museum", item: [line] });
  assert.equal(fulfillability.result, "CAN_FULFILL");
  assert.equal(fulfillability.item_fulfillability[0].item.start_sec, START);
}

async function createsOnce() {
  const { path, requestSerialize, responseDeserialize } = BookingService.service.CreateOrder;
  const asBytes = (bytes) => bytes;
  const create = promisify(client.makeUnaryRequest.bind(client, path, requestSerialize, asBytes));
  const answer = await create(order);
  assert.deepEqual(await create(order), answer);
  const created = responseDeserialize(answer).order;
  assert.equal(created.item[0].status, "CONFIRMED");
  return created.order_id;
}

async function lists(orderId) {
  const listed = await call("ListOrders", { user_id: "node-grpc" });
  assert.deepEqual(listed.order.map((each) => each.order_id), [orderId]);
}

async function readsAnError() {
  const rejected = await call("CreateOrder", { idempotency_token: "node-rejected" }).then(
    (answer) => assert.fail(JSON.stringify(answer)),
    (error) => error,
  );
  assert.equal(rejected.code, grpc.status.INVALID_ARGUMENT);
  const [status] = rejected.metadata.get("grpc-status-details-bin");
  const { details } = loaded["google.rpc.Status"].deserialize(status);
  const { value } = details.find(({ type_url }) => type_url.endsWith("/google.rpc.BadRequest"));
  const { field_violations } = loaded["google.rpc.BadRequest"].deserialize(value);
  assert.deepEqual(field_violations.map((found) => found.field), ["order"]);
}

await checks();
await lists(await createsOnce());
await readsAnError();
client.close();
