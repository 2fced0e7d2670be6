//! Prometheus' text format.

use crate::metric::Kind;
use std::fmt::{Display, Write};

/// Writes families one after another.
#[derive(Default)]
pub(crate) struct Exposition {
    text: String,
}

impl Exposition {
    /// Begins a family; its samples follow.
    pub(crate) fn family(&mut self, name: &str, kind: Kind, help: &str) {
        self.put(format_args!("# HELP {name} {help}\n# TYPE {name} {}\n", kind.name()));
    }

    /// `time_ms` 0 stands for the moment of reading.
    pub(crate) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64, time_ms: i64) {
        self.text.push_str(name);
        for (index, (label, value)) in labels.iter().enumerate() {
            self.text.push(if index == 0 { '{' } else { ',' });
            self.text.push_str(label);
            self.text.push_str("=\"");
            escape(value, &mut self.text);
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        self.put(format_args!(" {}", Number(value)));
        if time_ms != 0 {
            self.put(format_args!(" {time_ms}"));
        }
        self.text.push('\n');
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        self.text.write_fmt(text).expect("a String grows");
    }

    pub(crate) fn finish(self) -> String {
        self.text
    }
}

fn escape(value: &str, out: &mut String) {
    for character in value.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}

/// A sample's value as Prometheus writes it.
pub(crate) struct Number(pub(crate) f64);

impl Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            value if value.is_nan() => f.write_str("NaN"),
            value if value.is_infinite() => f.write_str(if value > 0.0 { "+Inf" } else { "-Inf" }),
            // Beyond these Go turns to exponents, and so must who is compared with it.
            value if value != 0.0 && !(1e-4..1e21).contains(&value.abs()) => {
                let text = format!("{value:e}");
                let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
                let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |rest| ('-', rest));
                write!(f, "{digits}e{sign}{exponent:0>2}")
            }
            value => write!(f, "{value}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_read_as_prometheus_writes_them() {
        let mut page = Exposition::default();
        page.family("a_total", Kind::Counter, "What.");
        page.sample("a_total", &[("x", "1\"\\\n"), ("y", "")], 1.5, 7);
        page.sample("a_total", &[], f64::INFINITY, 0);
        let wanted =
            "# HELP a_total What.\n# TYPE a_total counter\na_total{x=\"1\\\"\\\\\\n\",y=\"\"} 1.5 7\na_total +Inf\n";
        assert_eq!(page.finish(), wanted);
        let numbers = [0.0, 1e20, 1e21, -2.5e-7, 123456789.0].map(|value| Number(value).to_string());
        assert_eq!(numbers, ["0", "100000000000000000000", "1e+21", "-2.5e-07", "123456789"]);
    }
}
