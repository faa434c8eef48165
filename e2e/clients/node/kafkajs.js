// kafkajs (pure JavaScript, old non-flexible versions of the protocol) against a broker. Prints the JSON lines that
// e2e/clients/python/common.py describes.
"use strict";
const kafkajs = require("kafkajs");
const { Kafka, CompressionTypes, CompressionCodecs, ConfigResourceTypes, logLevel } = kafkajs;
const clientVersion = require("kafkajs/package.json").version;
CompressionCodecs[CompressionTypes.Snappy] = require("kafkajs-snappy");
// Its other plug-ins need a native build; these codecs are JavaScript and WebAssembly, plugged in the way it documents.
const lz4 = require("lz4js");
// Frames as Kafka takes them: version 1, blocks that stand alone, of 64 KiB at most, and the checksum of that header.
const LZ4_HEADER = Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82]), LZ4_BLOCK = 65_536;
function lz4Block(plain) {
  const packed = Buffer.alloc(lz4.compressBound(plain.length)), length = Buffer.alloc(4);
  const size = lz4.compressBlock(plain, packed, 0, plain.length, new Array(1 << 16).fill(0));
  const shrunk = size > 0 && size < plain.length;
  length.writeUInt32LE(shrunk ? size : plain.length + 0x8000_0000);
  return [length, shrunk ? packed.subarray(0, size) : plain];
}
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async ({ buffer }) => {
    const blocks = [];
    for (let at = 0; at < buffer.length; at += LZ4_BLOCK) blocks.push(...lz4Block(buffer.subarray(at, at + LZ4_BLOCK)));
    return Buffer.concat([LZ4_HEADER, ...blocks, Buffer.alloc(4)]);
  },
  decompress: async (bytes) => Buffer.from(lz4.decompress(bytes)),
});
const zstd = new Promise((ready) => require("zstd-codec").ZstdCodec.run((codec) => ready(new codec.Simple())));
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async (encoder) => Buffer.from((await zstd).compress(encoder.buffer)),
  decompress: async (bytes) => Buffer.from((await zstd).decompress(bytes)),
});

const { COUNT, bootstrap, prefixOf, messageOf, check, until, checkRecords, checkTimes, createAndDelete, run } = require("./common.js");

const prefix = prefixOf("kafkajs");
const kafka = new Kafka({ clientId: "e2e", brokers: [bootstrap], logLevel: logLevel.NOTHING,
  retry: { initialRetryTime: 50, retries: 8 } });
const admin = kafka.admin();
async function refused(promise, type) {
  try { await promise; } catch (error) {
    const inner = (error.errors && error.errors[0]) || (error.groups && { type: error.groups[0].error.type }) || error;
    check(inner.type === type, `refused with ${inner.type} instead of ${type}`);
    return;
  }
  throw new Error(`${type} was expected`);
}
async function create(topic, numPartitions = 1, configEntries = []) {
  check(await admin.createTopics({ topics: [{ topic, numPartitions, replicationFactor: 1, configEntries }],
    waitForLeaders: true }), `${topic} exists`);
  const count = (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length;
  check(count === numPartitions, `${topic} has ${count} partitions`);
}

async function send(topic, compression, options = {}) {
  const producer = kafka.producer({ ...options });
  await producer.connect();
  let next = 0n;
  for (let start = 0; start < COUNT; start += 50) {
    const messages = [];
    for (let i = start; i < start + 50; i++) messages.push(messageOf(i));
    const [result] = await producer.send({ topic, messages, compression, acks: -1 });
    check(BigInt(result.baseOffset) === next, `base offset ${result.baseOffset} instead of ${next}`);
    next += 50n;
  }
  await producer.disconnect();
}

const consumer = (group) => kafka.consumer({ groupId: `${prefix}-${group}`, sessionTimeout: 6000, heartbeatInterval: 500,
  rebalanceTimeout: 6000, maxWaitTimeInMs: 200 });

async function readAll(topic, group, count) {
  const c = consumer(group);
  const got = [];
  await c.connect();
  await c.subscribe({ topics: [topic], fromBeginning: true });
  await c.run({ autoCommit: false, eachMessage: async ({ message }) => { got.push(message); } });
  await until(`${count} records`, () => got.length >= count);
  await c.disconnect();
  return got;
}

const produce = (name, compression) => async () => {
  const topic = `${prefix}-${name}`;
  await create(topic);
  await send(topic, compression);
  checkRecords(await readAll(topic, `read-${name}`, COUNT));
};

async function groupRebalance() {
  const topic = `${prefix}-rebalance`;
  await create(topic, 4);
  const got = [], owned = [[], []], members = [consumer("rebalance"), consumer("rebalance")];
  const start = async (n) => {
    members[n].on(members[n].events.GROUP_JOIN, ({ payload }) => { owned[n] = payload.memberAssignment[topic] || []; });
    await members[n].connect();
    await members[n].subscribe({ topics: [topic], fromBeginning: true });
    await members[n].run({ eachMessage: async ({ message }) => { got.push(Number(message.value.toString())); } });
  };
  await start(0);
  await until("one member owns all", () => owned[0].length === 4);
  await start(1);
  await until("two members share", () => owned[0].length === 2 && owned[1].length === 2);
  check(new Set([...owned[0], ...owned[1]]).size === 4, "partitions overlap");
  await members[1].disconnect();
  await until("the one that stays owns all", () => owned[0].length === 4);
  const producer = kafka.producer();
  await producer.connect();
  for (let i = 0; i < 40; i++) await producer.send({ topic, messages: [{ value: String(i), partition: i % 4 }] });
  await producer.disconnect();
  await until("40 records", () => got.length >= 40);
  await members[0].disconnect();
  check(got.sort((a, b) => a - b).every((v, i) => v === i), "records lost or doubled by the rebalance");
}

async function commitResume() {
  const topic = `${prefix}-none`, group = `${prefix}-commit`;
  await admin.setOffsets({ groupId: group, topic, partitions: [{ partition: 0, offset: "120" }] });
  const [stored] = await admin.fetchOffsets({ groupId: group, topics: [topic] });
  check(stored.partitions[0].offset === "120", `committed ${stored.partitions[0].offset}`);
  const got = await readAll(topic, "commit", COUNT - 120);
  check(got[0].offset === "120", `resumed at ${got[0].offset}`);
}

const seekTime = () => checkTimes(admin, `${prefix}-none`);

const topics = () => createAndDelete(admin, create, `${prefix}-topics`);

async function configs() {
  const topic = `${prefix}-configs`;
  await create(topic, 1, [{ name: "retention.ms", value: "3600000" }]);
  const described = async () => {
    const answer = await admin.describeConfigs({ includeSynonyms: true, resources: [{ type: ConfigResourceTypes.TOPIC, name: topic }] });
    return Object.fromEntries(answer.resources[0].configEntries.map((entry) => [entry.configName, entry.configValue]));
  };
  const before = await described();
  check(before["retention.ms"] === "3600000" && before["cleanup.policy"] === "delete", JSON.stringify(before));
  await admin.alterConfigs({ resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries: [{ name: "max.message.bytes", value: "54321" }] }] });
  await until("the change shows", async () => (await described())["max.message.bytes"] === "54321");
}

async function partitions() {
  const topic = `${prefix}-partitions`;
  await create(topic);
  await admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] });
  await until("three partitions", async () => (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length === 3);
  await refused(admin.createPartitions({ topicPartitions: [{ topic, count: 2 }] }), "INVALID_PARTITIONS");
}

async function deleteRecords() {
  const topic = `${prefix}-gzip`;
  await admin.fetchTopicOffsets(topic); // it finds the leaders of topics that it has seen only
  await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: "50" }] });
  check((await admin.fetchTopicOffsets(topic))[0].low === "50", "the low watermark did not move");
}

async function groups() {
  const group = `${prefix}-groups`, c = consumer("groups");
  await c.connect();
  await c.subscribe({ topics: [`${prefix}-none`], fromBeginning: true });
  let joined = false;
  c.on(c.events.GROUP_JOIN, () => { joined = true; });
  await c.run({ eachMessage: async () => {} });
  await until("joined", () => joined);
  check((await admin.listGroups()).groups.some((g) => g.groupId === group), "the group is not listed");
  const { groups: [description] } = await admin.describeGroups([group]);
  check(description.state === "Stable" && description.members.length === 1, description.state);
  await refused(admin.deleteGroups([group]), "NON_EMPTY_GROUP");
  await c.disconnect();
  await admin.deleteGroups([group]);
  await until("the group is gone", async () => !(await admin.listGroups()).groups.some((g) => g.groupId === group));
}

async function idempotent() {
  const topic = `${prefix}-idempotent`;
  await create(topic);
  await send(topic, CompressionTypes.None, { idempotent: true, maxInFlightRequests: 1 });
  checkRecords(await readAll(topic, "read-idempotent", COUNT));
}

const operations = [["produce none", produce("none", CompressionTypes.None)], ["produce gzip", produce("gzip", CompressionTypes.GZIP)],
  ["produce snappy", produce("snappy", CompressionTypes.Snappy)], ["produce lz4", produce("lz4", CompressionTypes.LZ4)],
  ["produce zstd", produce("zstd", CompressionTypes.ZSTD)],
  ["idempotent", idempotent], ["group rebalance", groupRebalance], ["commit resume", commitResume], ["seek time", seekTime],
  ["topics", topics], ["configs", configs], ["partitions", partitions], ["delete records", deleteRecords], ["groups", groups]];

admin.connect().then(() => run("kafkajs", clientVersion, operations));
