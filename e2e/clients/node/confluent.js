// @confluentinc/kafka-javascript (librdkafka as a native add-on of Node) against a broker, by its KafkaJS-like interface;
// where that has no such call, by its own. Prints the JSON lines that e2e/clients/python/common.py describes.
"use strict";
const confluent = require("@confluentinc/kafka-javascript");
const clientVersion = require("@confluentinc/kafka-javascript/package.json").version;
const { COUNT, bootstrap, prefixOf, messageOf, Absent, check, until, checkRecords, checkTimes, createAndDelete, run } = require("./common.js");
const { Kafka, ErrorCodes, logLevel } = confluent.KafkaJS;

const prefix = prefixOf("confluent-js");
const kafka = new Kafka({ kafkaJS: { clientId: "e2e", brokers: [bootstrap], logLevel: logLevel.NOTHING } });
const admin = kafka.admin();

async function refused(promise, code) {
  try { await promise; } catch (error) {
    const inner = (error.errors && error.errors[0]) || (error.groups && error.groups[0].error) || error;
    check(inner.code === code, `refused with ${inner.code} (${inner.message}) instead of ${code}`);
    return;
  }
  throw new Error(`error ${code} was expected`);
}

// Kafka answers before every thread of the broker knows the topic.
const shows = (topic, count) => until(`${topic} with ${count} partitions`, async () => {
  try { return (await admin.fetchTopicMetadata({ topics: [topic] }))[0].partitions.length === count; } catch (error) {
    if (error.code === ErrorCodes.ERR_UNKNOWN_TOPIC_OR_PART) return false;
    throw error;
  }
});
async function create(topic, numPartitions = 1, configEntries = []) {
  check(await admin.createTopics({ topics: [{ topic, numPartitions, replicationFactor: 1, configEntries }] }), `${topic} exists`);
  await shows(topic, numPartitions);
}

async function send(topic, options) {
  const producer = kafka.producer({ kafkaJS: { acks: -1, ...options }, "linger.ms": 5 });
  await producer.connect();
  for (let start = 0; start < COUNT; start += 50) {
    const messages = [];
    for (let i = start; i < start + 50; i++) messages.push(messageOf(i));
    const [result] = await producer.send({ topic, messages });
    check(result.baseOffset === String(start), `base offset ${result.baseOffset} instead of ${start}`);
  }
  await producer.disconnect();
}

const consumer = (group) => kafka.consumer({ kafkaJS: { groupId: `${prefix}-${group}`, fromBeginning: true, autoCommit: false,
  sessionTimeout: 6000, heartbeatInterval: 500, maxWaitTimeInMs: 200 }, "check.crcs": true });

async function subscribed(topic, group, got) {
  const c = consumer(group);
  await c.connect();
  await c.subscribe({ topics: [topic] });
  await c.run({ eachMessage: async ({ message }) => { got.push(message); } });
  return c;
}

// The add-on gives null for an empty value, on Apache Kafka too.
const restored = (got) => got.map((m) => ({ ...m, value: m.value === null ? Buffer.alloc(0) : m.value }));

async function readAll(topic, group, count) {
  const got = [];
  const c = await subscribed(topic, group, got);
  await until(`${count} records`, () => got.length >= count);
  await c.disconnect();
  return got;
}

const produce = (compression) => async () => {
  const topic = `${prefix}-${compression}`;
  await create(topic);
  await send(topic, { compression });
  checkRecords(restored(await readAll(topic, `read-${compression}`, COUNT)));
};

async function idempotent() {
  const topic = `${prefix}-idempotent`;
  await create(topic);
  await send(topic, { idempotent: true, compression: "lz4" });
  checkRecords(restored(await readAll(topic, "read-idempotent", COUNT)));
}

async function groupRebalance() {
  const topic = `${prefix}-rebalance`;
  await create(topic, 4);
  const got = [];
  const one = await subscribed(topic, "rebalance", got);
  await until("one member owns all", () => one.assignment().length === 4);
  const two = await subscribed(topic, "rebalance", got);
  await until("two members share", () => one.assignment().length === 2 && two.assignment().length === 2);
  const owned = new Set([...one.assignment(), ...two.assignment()].map((p) => p.partition));
  check(owned.size === 4, "partitions overlap");
  await two.disconnect();
  await until("the one that stays owns all", () => one.assignment().length === 4);
  const producer = kafka.producer({ kafkaJS: { acks: -1 } });
  await producer.connect();
  await Promise.all(Array.from({ length: 40 }, (_, i) =>
    producer.send({ topic, messages: [{ value: String(i), partition: i % 4 }] })));
  await producer.disconnect();
  await until("40 records", () => got.length >= 40);
  await one.disconnect();
  const values = got.map((m) => Number(m.value.toString())).sort((a, b) => a - b);
  check(values.length === 40 && values.every((v, i) => v === i), "records lost or doubled by the rebalance");
}

async function commitResume() {
  const topic = `${prefix}-none`, got = [];
  const first = await subscribed(topic, "commit", got);
  await until("all records", () => got.length >= COUNT);
  await first.commitOffsets([{ topic, partition: 0, offset: "120", metadata: "half way" }]);
  const [committed] = await first.committed([{ topic, partition: 0 }]);
  check(committed.offset === "120", `committed ${committed.offset}`);
  await first.disconnect();
  const [stored] = await admin.fetchOffsets({ groupId: `${prefix}-commit`, topics: [topic] });
  check(stored.partitions[0].offset === "120", `stored ${stored.partitions[0].offset}`);
  const rest = await readAll(topic, "commit", COUNT - 120);
  check(rest[0].offset === "120", `resumed at ${rest[0].offset}`);
}

async function seekTime() {
  const topic = `${prefix}-none`;
  await checkTimes(admin, topic);
  const got = [];
  const c = await subscribed(topic, "seek", got);
  await until("a first record", () => got.length > 0);
  const before = got.length;
  c.seek({ topic, partition: 0, offset: "100" });
  await until("the record at offset 100 again", () => got.slice(before).some((m) => m.offset === "100"));
  await c.disconnect();
}

const topics = () => createAndDelete(admin, create, `${prefix}-topics`);

async function configs() { throw new Absent("it neither describes nor alters configurations"); }

async function partitions() {
  const topic = `${prefix}-partitions`;
  await create(topic);
  const own = confluent.AdminClient.create({ "bootstrap.servers": bootstrap });
  const grow = (count) => new Promise((resolve, reject) =>
    own.createPartitions(topic, count, 10_000, (error) => (error ? reject(error) : resolve())));
  await grow(3);
  await shows(topic, 3);
  await refused(grow(2), ErrorCodes.ERR_INVALID_PARTITIONS);
  own.disconnect();
}

async function deleteRecords() {
  const topic = `${prefix}-gzip`;
  const [deleted] = await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: "50" }] });
  check(deleted.lowWatermark === 50, `low watermark ${deleted.lowWatermark}`);
  check((await admin.fetchTopicOffsets(topic))[0].low === "50", "the low watermark did not move");
  const got = await readAll(topic, "deleted", COUNT - 50);
  check(got[0].offset === "50", `the first record left has offset ${got[0].offset}`);
}

async function groups() {
  const group = `${prefix}-groups`, got = [];
  const c = await subscribed(`${prefix}-none`, "groups", got);
  await until("joined", () => c.assignment().length === 1);
  const listed = await admin.listGroups();
  check(listed.groups.some((g) => g.groupId === group) && listed.errors.length === 0, "the group is not listed");
  const { groups: [description] } = await admin.describeGroups([group]);
  check(description.state === confluent.ConsumerGroupStates.STABLE && description.members.length === 1, `state ${description.state}`);
  await refused(admin.deleteGroups([group]), ErrorCodes.ERR_NON_EMPTY_GROUP);
  await c.disconnect();
  await admin.deleteGroups([group]);
  await until("the group is gone", async () => !(await admin.listGroups()).groups.some((g) => g.groupId === group));
}

const operations = [...["none", "gzip", "snappy", "lz4", "zstd"].map((codec) => [`produce ${codec}`, produce(codec)]),
  ["idempotent", idempotent], ["group rebalance", groupRebalance], ["commit resume", commitResume], ["seek time", seekTime],
  ["topics", topics], ["configs", configs], ["partitions", partitions], ["delete records", deleteRecords], ["groups", groups]];

admin.connect().then(() => run("@confluentinc/kafka-javascript", clientVersion, operations));
