// What both JavaScript clients share: the records that are sent, the checks of what came back, and how results are
// reported. The records and the JSON lines are those of e2e/clients/python/common.py; header names are not doubled,
// since both clients take headers as an object.
"use strict";

const COUNT = 300;
const BASE = Math.floor(Date.now() / 1000) * 1000 - 3_600_000;

const argument = (name) => process.argv[process.argv.indexOf(name) + 1];
const bootstrap = argument("--bootstrap");
const prefixOf = (client) => `${process.argv.includes("--prefix") ? argument("--prefix") : "e2e"}-${client}`;

const keyOf = (i) => (i % 7 === 0 ? null : Buffer.from(`key-${i % 13}`));
const valueOf = (i) => {
  if (i % 11 === 0) return Buffer.alloc(0);
  if (i % 17 === 0) return Buffer.from(Array.from({ length: 2000 }, (_, j) => (i * 31 + j * 7) % 256));
  return Buffer.from(JSON.stringify({ id: i, name: `n${i}`, price: i / 4, even: i % 2 === 0 }));
};
const headersOf = (i) => (i % 3 === 0 ? { trace: Buffer.from(`t${i}`), empty: Buffer.alloc(0) } : {});
const timestampOf = (i) => BASE + i * 10;
const messageOf = (i) => ({ key: keyOf(i), value: valueOf(i), headers: headersOf(i), timestamp: String(timestampOf(i)), partition: 0 });

class Absent extends Error {}
const check = (fact, text) => { if (!fact) throw new Error(text); };
const same = (a, b) => (a === null || b === null ? a === b : Buffer.compare(a, b) === 0);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function until(what, condition) {
  const end = Date.now() + 60_000;
  while (Date.now() < end) { if (await condition()) return; await sleep(50); }
  throw new Error(`${what}: not within 60 s`);
}

function checkRecords(got) {
  check(got.length === COUNT, `${got.length} records`);
  got.forEach((m, i) => {
    check(m.offset === String(i), `record ${i} came with offset ${m.offset}`);
    check(same(m.key, keyOf(i)) && same(m.value, valueOf(i)), `record ${i}: key or value differs`);
    check(m.timestamp === String(timestampOf(i)), `record ${i}: timestamp ${m.timestamp}`);
    const wanted = headersOf(i), headers = m.headers || {};
    check(Object.keys(headers).length === Object.keys(wanted).length, `record ${i}: headers`);
    for (const [name, value] of Object.entries(wanted)) check(same(headers[name], value), `record ${i}: header ${name}`);
  });
}

// The offsets that times give, and the ends, of a topic with the records.
async function checkTimes(admin, topic) {
  for (const [timestamp, offset] of [[timestampOf(100), "100"], [timestampOf(100) - 3, "100"], [timestampOf(0) - 1, "0"]]) {
    const [found] = await admin.fetchTopicOffsetsByTimestamp(topic, timestamp);
    check(found.offset === offset, `time ${timestamp} gave ${found.offset} instead of ${offset}`);
  }
  const [ends] = await admin.fetchTopicOffsets(topic);
  check(ends.low === "0" && ends.high === String(COUNT), `offsets ${ends.low} to ${ends.high}`);
}

// A topic is made by `create`, listed, refused a second time, deleted.
async function createAndDelete(admin, create, topic) {
  await create(topic, 3);
  check((await admin.listTopics()).includes(topic), "the topic is not listed");
  check(!(await admin.createTopics({ topics: [{ topic, numPartitions: 3 }] })), "a topic was created twice");
  await admin.deleteTopics({ topics: [topic] });
  await until("the topic is gone", async () => !(await admin.listTopics()).includes(topic));
}

// Runs `operations`, [name, async function] pairs in the order in which they depend on each other, and ends the process.
async function run(client, version, operations) {
  console.log(JSON.stringify({ client, version }));
  let failed = 0;
  for (const [operation, work] of operations) {
    const start = Date.now();
    let result = "ok", detail = "";
    try { await work(); } catch (error) {
      result = error instanceof Absent ? "absent" : "failed";
      detail = String(error.message);
      if (result === "failed") { failed = 1; console.error(error); }
    }
    console.log(JSON.stringify({ operation, result, detail: detail.slice(0, 500), ms: Date.now() - start }));
  }
  process.exit(failed);
}

module.exports = { COUNT, bootstrap, prefixOf, messageOf, Absent, check, until, checkRecords, checkTimes, createAndDelete, run };
