//! Requests that nobody wrote: of known methods with params bent in every way, of calls bent, of bytes that are none.
//!
//! The same seed makes the same requests. None of them makes a call wait: what would wait for a block is given no time.

use printsy_rpc::METHODS;
use serde_json::{Map, Value, json};

/// A seeded generator (splitmix64).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(len).unwrap()).unwrap()
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }
}

/// What is worth bending: values that some method would take.
pub struct Seeds {
    /// Any value, by what it is a param for or not at all.
    pub values: Vec<Value>,
}

/// A request's body.
pub fn body(random: &mut Random, seeds: &Seeds) -> String {
    match random.index(20) {
        0 => bytes(random),
        1 => {
            let id = random.next();
            let text = call(id, random, seeds).to_string();
            bent_text(random, &text)
        }
        2 | 3 => {
            let count = random.index(6);
            let calls: Vec<Value> =
                (0..count).map(|id| entry(u64::try_from(id).unwrap(), random, seeds)).collect();
            Value::from(calls).to_string()
        }
        4 => bent_call(random, seeds).to_string(),
        _ => call(1, random, seeds).to_string(),
    }
}

fn entry(id: u64, random: &mut Random, seeds: &Seeds) -> Value {
    match random.index(8) {
        0 => any(random, seeds, 2),
        1 => bent_call(random, seeds),
        _ => call(id, random, seeds),
    }
}

fn bytes(random: &mut Random) -> String {
    const LETTERS: &[u8] = b"{}[]\",:0123456789.eE-+tfn\\u \n\x00aZ";
    let len = random.index(80);
    (0..len).map(|_| char::from(LETTERS[random.index(LETTERS.len())])).collect()
}

fn bent_text(random: &mut Random, text: &str) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for _ in 0..=random.index(3) {
        let at = random.index(letters.len());
        match random.index(3) {
            0 => drop(letters.remove(at)),
            1 => letters.insert(at, char::from(u8::try_from(32 + random.index(95)).unwrap())),
            _ => letters.truncate(at.max(1)),
        }
        if letters.is_empty() {
            letters.push(' ');
        }
    }
    letters.into_iter().collect()
}

/// A call that is none in one respect.
fn bent_call(random: &mut Random, seeds: &Seeds) -> Value {
    let mut call = call(1, random, seeds);
    let name = ["jsonrpc", "id", "method", "params", "more"][random.index(5)];
    let value = any(random, seeds, 2);
    // What stands for another method's params must not make it wait.
    call[name] = if name == "method" { json!(format!("no{value}")) } else { value };
    if name == "params" {
        patient(&mut call);
    }
    if random.one_in(3) {
        call.as_object_mut().unwrap().remove(name);
    }
    call
}

/// A call of a method there is, or nearly.
fn call(id: u64, random: &mut Random, seeds: &Seeds) -> Value {
    let info = &METHODS[random.index(METHODS.len())];
    let mut generator = schemars::SchemaGenerator::default();
    let schema = (info.params)(&mut generator).to_value();
    let names: Vec<String> =
        schema["properties"].as_object().map(|map| map.keys().cloned().collect()).unwrap_or_default();
    let mut params = if random.one_in(3) {
        let count = random.index(names.len() + 2);
        Value::from((0..count).map(|_| param(random, seeds)).collect::<Vec<_>>())
    } else {
        let mut named = Map::new();
        for name in names {
            if !random.one_in(4) {
                named.insert(name, param(random, seeds));
            }
        }
        if random.one_in(10) {
            named.insert("surplus".to_owned(), any(random, seeds, 1));
        }
        Value::Object(named)
    };
    if random.one_in(50) {
        params = any(random, seeds, 3);
    }
    let mut call = json!({ "jsonrpc": "2.0", "id": id, "method": info.name, "params": params });
    patient(&mut call);
    call
}

fn param(random: &mut Random, seeds: &Seeds) -> Value {
    match random.index(6) {
        0 => any(random, seeds, 2),
        1 => {
            let value = seeds.values[random.index(seeds.values.len())].clone();
            match value {
                Value::String(text) if !text.is_empty() => bent_text(random, &text).into(),
                other => other,
            }
        }
        _ => seeds.values[random.index(seeds.values.len())].clone(),
    }
}

fn any(random: &mut Random, seeds: &Seeds, depth: usize) -> Value {
    match random.index(if depth == 0 { 7 } else { 9 }) {
        0 => Value::Null,
        1 => random.one_in(2).into(),
        2 => random.next().into(),
        3 => json!(i64::from_ne_bytes(random.next().to_ne_bytes())),
        4 => json!(f64::from(u32::try_from(random.next() >> 32).unwrap()) / 7.0),
        5 => bytes(random).into(),
        6 => seeds.values[random.index(seeds.values.len())].clone(),
        7 => (0..random.index(4)).map(|_| any(random, seeds, depth - 1)).collect::<Vec<_>>().into(),
        _ => {
            let entries = (0..random.index(4)).map(|_| (bytes(random), any(random, seeds, depth - 1)));
            Value::Object(entries.collect())
        }
    }
}

/// Sees to it that the call does not wait for blocks, makes few of them, and leaves the clock where it is.
fn patient(call: &mut Value) {
    let method = call["method"].as_str().unwrap_or_default().to_owned();
    let params = &mut call["params"];
    match method.as_str() {
        "executeTransaction" | "executeTransactions" => match params {
            Value::Object(named) => {
                named.insert("timeoutMs".to_owned(), json!(5));
            }
            Value::Array(items) if items.len() >= 2 => {
                items.truncate(2);
                items.push(json!(5));
            }
            Value::Array(items) if items.len() == 1 => items.extend([json!("admitted"), json!(5)]),
            _ => {}
        },
        "generateBlocks" | "setClock" => {
            let few = |value: &mut Value| {
                if value.as_u64().is_some_and(|number| number > 2) {
                    *value = json!(0);
                }
            };
            match params {
                Value::Object(named) => named.values_mut().for_each(few),
                Value::Array(items) => items.iter_mut().for_each(few),
                _ => {}
            }
        }
        _ => {}
    }
}
