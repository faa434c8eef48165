//! `lumadb demo`: a server in a temporary directory with the data set `shop`, all through its own Kafka port.
//!
//! Four topics of JSON records: users and products (once), orders and clicks (24 hours of history by timestamp, then
//! live). The same seed gives the same records; only the timestamps follow the clock.
//!
//! Invariants:
//! - The directory is removed when the command ends, by Ctrl-C as well; what a killed one left, by the next.
//! - The live load ends with the server; a failing load is logged and never ends the server.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use client_cli::{
    DEMO_DIR_PREFIX, DemoArgs, Exit, Failure, Terminal, lock_data_dir, mark_demo,
    remove_left_demos, write_ready_file,
};
use client_kafka::{Batch, Client, Compression, Error};

use crate::logging;
use crate::serve::{Signals, addresses, banner, configuration, wait};
use crate::server::{Ports, Running, start, tokio_runtime};

const USERS: u64 = 200;
const PRODUCTS: u64 = 50;
const HISTORY_MS: i64 = 24 * 3_600_000;
/// One order every this many milliseconds of history; clicks are ten times as frequent.
const HISTORY_STEP_MS: i64 = 20_000;
const CLICKS_PER_ORDER: u64 = 10;
const BATCH_RECORDS_MAX: usize = 1000;
const TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) fn run(mut args: DemoArgs, terminal: &mut Terminal) -> Result<(), Failure> {
    let began = Instant::now();
    if args.serve.data_dir.is_some() {
        return Err(Failure::usage(
            "demo takes no --data-dir: it removes its directory at the end",
        )
        .hint("lumadb serve --data-dir DIR keeps what is written"));
    }
    let runtime = tokio_runtime()?;
    // Before there is a directory, so that no signal leaves one behind.
    let mut signals = Signals::install(&runtime)?;
    let parent = std::env::temp_dir();
    for line in remove_left_demos(&parent) {
        terminal.note(&line);
    }
    let made = tempfile::Builder::new().prefix(DEMO_DIR_PREFIX).tempdir_in(&parent);
    let made = made.and_then(|dir| mark_demo(dir.path()).map(|()| dir));
    let dir = made.map_err(|error| {
        Failure::new(Exit::Failed, format!("cannot make a temporary directory: {error}"))
            .hint("TMPDIR=DIR names another place for it")
    })?;
    args.serve.data_dir = Some(dir.path().to_owned());
    let loaded = configuration(&args.serve)?;
    logging::install(&loaded.config.logging, terminal.color)?;
    let ports = Ports::bind(&loaded)?;
    let _lock = lock_data_dir(dir.path())?;
    let mut running = start(&loaded, ports, dir.path().to_owned(), runtime)?;
    let addr = running.kafka.to_string();
    let mut shop = Shop { random: Random(args.seed), orders: 0 };
    let filled = running.runtime.block_on(async {
        tokio::select! {
            filled = fill(&addr, &mut shop) => filled.map(Some),
            () = signals.next() => Ok(None),
        }
    });
    let client = match filled {
        Ok(Some(client)) => client,
        Ok(None) => return running.stop(),
        Err(error) => {
            // The reason to report is the first one.
            let _ = running.stop();
            return Err(Failure::new(Exit::Failed, format!("cannot fill the demo: {error}")));
        }
    };
    let rate = args.rate;
    running.runtime.spawn(async move {
        if let Err(error) = live(&client, &mut shop, rate).await {
            tracing::warn!(%error, "the demo's load stopped");
        }
    });
    if let Some(path) = &args.serve.ready_file {
        write_ready_file(path, &addresses(&running))?;
    }
    let data = format!("{} (removed at the end)", dir.path().display());
    banner(&running, &data, began.elapsed(), terminal);
    things_to_try(&running, terminal);
    let ended = wait(&mut running, signals, Some(dir.path().to_owned()));
    let stopped = running.stop();
    ended.and(stopped)
}

/// The history, through the server's own port.
async fn fill(addr: &str, shop: &mut Shop) -> Result<Client, Error> {
    let client = Client::connect(addr, "lumadb-demo", TIMEOUT).await?;
    backfill(&client, shop).await?;
    Ok(client)
}

fn things_to_try(running: &Running, terminal: &mut Terminal) {
    let (pg, kafka) = (running.pg, running.kafka);
    terminal.note(&format!(
        "\nThe last 24 hours of a shop, and what happens now, are in users, products, orders and clicks. Try:\n  \
         psql postgres://luma@{pg}/luma -c 'select status, count(*), round(sum(amount)) as amount from orders group by status'\n  \
         psql postgres://luma@{pg}/luma -c 'select _offset, page, user_id from clicks order by _timestamp desc limit 5'\n  \
         kcat -b {kafka} -t orders -C -o -3 -c 3\nThe same without psql and kcat:\n  \
         lumadb sql postgres://luma@{pg}/luma -c 'select name, price from products order by price desc limit 3'\n  \
         lumadb consume orders -b {kafka} -O -3"
    ));
}

/// SplitMix64 (Steele, Lea and Flood 2014): enough for sample data, and the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        let index = usize::try_from(self.below(words.len() as u64)).unwrap_or(0);
        words.get(index).copied().unwrap_or_default()
    }
}

struct Shop {
    random: Random,
    orders: u64,
}

/// Key and value of a record.
type Keyed = (String, String);

impl Shop {
    fn user(&mut self, id: u64) -> Keyed {
        let name = self
            .random
            .pick(&["Ada", "Alan", "Barbara", "Edsger", "Grace", "Leslie", "Margaret", "Tony"]);
        let country = self.random.pick(&["DE", "FR", "GB", "IN", "JP", "NL", "US"]);
        let value = serde_json::json!({ "user_id": id, "name": name, "country": country });
        (id.to_string(), value.to_string())
    }

    fn product(&mut self, id: u64) -> Keyed {
        let kind =
            self.random.pick(&["chair", "desk", "kettle", "lamp", "mug", "notebook", "shelf"]);
        let colour = self.random.pick(&["black", "blue", "green", "red", "white"]);
        let cents = 500 + self.random.below(20_000);
        let value = serde_json::json!({ "product_id": id, "name": format!("{colour} {kind}"), "price": price(cents) });
        (id.to_string(), value.to_string())
    }

    fn order(&mut self) -> Keyed {
        self.orders += 1;
        let id = self.orders;
        let cents = 500 + self.random.below(50_000);
        let value = serde_json::json!({
            "order_id": id,
            "user_id": 1 + self.random.below(USERS),
            "product_id": 1 + self.random.below(PRODUCTS),
            "amount": price(cents),
            "status": self.random.pick(&["new", "paid", "paid", "paid", "shipped", "shipped", "returned"]),
        });
        (id.to_string(), value.to_string())
    }

    fn click(&mut self) -> Keyed {
        let user = 1 + self.random.below(USERS);
        let page = self.random.pick(&["/", "/search", "/product", "/cart", "/checkout"]);
        let value =
            serde_json::json!({ "user_id": user, "page": page, "ms": 5 + self.random.below(900) });
        (user.to_string(), value.to_string())
    }
}

/// Cents as a number of units with two decimals.
fn price(cents: u64) -> f64 {
    f64::from(u32::try_from(cents).unwrap_or(u32::MAX)) / 100.0
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Records of one topic on their way into batches.
struct Writer<'a> {
    client: &'a Client,
    topic: &'static str,
    batch: Batch,
}

impl<'a> Writer<'a> {
    fn new(client: &'a Client, topic: &'static str) -> Self {
        Self { client, topic, batch: Batch::default() }
    }

    async fn push(&mut self, at_ms: i64, (key, value): Keyed) -> Result<(), Error> {
        self.batch.push(at_ms, Some(key.as_bytes()), Some(value.as_bytes()), &[])?;
        if self.batch.count() >= BATCH_RECORDS_MAX { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), Error> {
        if self.batch.count() > 0 {
            let batch = std::mem::take(&mut self.batch).build(Compression::None)?;
            self.client.produce(self.topic, 0, batch).await?;
        }
        Ok(())
    }
}

async fn backfill(client: &Client, shop: &mut Shop) -> Result<(), Error> {
    for topic in ["users", "products", "orders", "clicks"] {
        client.create_topic(topic, 1, &[]).await?;
    }
    let now = now_ms();
    let start = now - HISTORY_MS;
    let mut users = Writer::new(client, "users");
    for id in 1..=USERS {
        users.push(start, shop.user(id)).await?;
    }
    users.flush().await?;
    let mut products = Writer::new(client, "products");
    for id in 1..=PRODUCTS {
        products.push(start, shop.product(id)).await?;
    }
    products.flush().await?;
    let (mut orders, mut clicks) = (Writer::new(client, "orders"), Writer::new(client, "clicks"));
    let mut at = start;
    while at < now {
        orders.push(at, shop.order()).await?;
        for _ in 0..CLICKS_PER_ORDER {
            clicks.push(at, shop.click()).await?;
        }
        at += HISTORY_STEP_MS;
    }
    orders.flush().await?;
    clicks.flush().await
}

/// `rate` orders per second and ten clicks with each, in ten steps per second.
async fn live(client: &Client, shop: &mut Shop, rate: u32) -> Result<(), Error> {
    const STEPS_PER_SECOND: u32 = 10;
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / STEPS_PER_SECOND);
    let (mut orders, mut clicks) = (Writer::new(client, "orders"), Writer::new(client, "clicks"));
    let mut owed = 0;
    loop {
        ticks.tick().await;
        owed += rate;
        let now = now_ms();
        while owed >= STEPS_PER_SECOND {
            owed -= STEPS_PER_SECOND;
            orders.push(now, shop.order()).await?;
            for _ in 0..CLICKS_PER_ORDER {
                clicks.push(now, shop.click()).await?;
            }
        }
        orders.flush().await?;
        clicks.flush().await?;
    }
}
