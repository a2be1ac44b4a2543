//! Output: one line of JSON.

use crate::measure::Measured;
use serde_json::{Map, Value};

pub struct Report(Map<String, Value>);

impl Report {
    pub fn new(workload: &str) -> Report {
        Report(Map::new()).with("workload", workload)
    }

    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Report {
        self.0.insert(key.to_string(), value.into());
        self
    }

    /// Adds a number rounded to three decimals.
    pub fn number(self, key: &str, value: f64) -> Report {
        self.with(key, (value * 1000.0).round() / 1000.0)
    }

    /// Adds the rate and the cost of a phase; `unit` names what was counted.
    pub fn measured(self, unit: &str, m: &Measured) -> Report {
        let micros = 1e6 / m.units.max(1) as f64;
        self.number("seconds", m.seconds)
            .with(unit, m.units)
            .number(&format!("{unit}_per_s"), m.units as f64 / m.seconds)
            .number("server_cpu_us_each", m.server_cpu_s() * micros)
            .number("tool_cpu_us_each", m.tool_cpu_s() * micros)
            .number("server_cpu_share", m.server_cpu_s() / m.seconds)
            .number("tool_cpu_share", m.tool_cpu_s() / m.seconds)
            .number("other_cpu_share", m.other_cpu_s() / m.seconds)
    }

    pub fn print(self) {
        println!("{}", Value::Object(self.0));
    }
}
