//! Reports as JSON.

use super::report::{Counts, Finding, Place, Report, Smallest, Verdict};
use std::fmt::Write;

impl Report {
    /// The report as JSON. Numbers that JSON cannot hold are strings.
    pub fn to_json(&self) -> String {
        let list = |items: Vec<String>| format!("[{}]", items.join(","));
        let Counts { checks, failures, kinks } = self.counts();
        object([
            ("subject", text(&self.subject)),
            ("seed", self.seed.to_string()),
            ("replay", text(&self.replay)),
            ("ok", self.is_ok().to_string()),
            ("complete", self.is_complete().to_string()),
            ("unchecked", list(self.unchecked.iter().map(|name| text(name)).collect())),
            ("checks", checks.to_string()),
            ("failures", failures.to_string()),
            ("kinks", kinks.to_string()),
            ("smallest", list(self.smallest.iter().map(smallest_json).collect())),
            ("findings", list(self.findings.iter().map(finding_json).collect())),
            ("operations", list(self.operations.iter().map(|(name, counts)| counts_json(name, *counts)).collect())),
        ])
    }
}

fn finding_json(finding: &Finding) -> String {
    let mut fields = vec![("operation", text(&finding.operation)), ("case", text(&finding.case))];
    let place = |place: &Place| object([("tensor", place.tensor.to_string()), ("index", format!("{:?}", place.index))]);
    match &finding.verdict {
        Verdict::Gradient { order, input, index, output, analytic, numeric, against } => fields.extend([
            ("verdict", text("gradient")),
            ("order", order.to_string()),
            ("input", input.to_string()),
            ("index", format!("{index:?}")),
            ("output", output.as_ref().map_or("null".into(), place)),
            ("analytic", number(*analytic)),
            ("numeric", number(*numeric)),
            ("against", text(against)),
        ]),
        Verdict::Kink { input, index, left, right, analytic } => fields.extend([
            ("verdict", text("kink")),
            ("input", input.to_string()),
            ("index", format!("{index:?}")),
            ("left", number(*left)),
            ("right", number(*right)),
            ("analytic", number(*analytic)),
        ]),
        Verdict::Value { output, actual, expected } => fields.extend([
            ("verdict", text("value")),
            ("output", place(output)),
            ("actual", number(*actual)),
            ("expected", number(*expected)),
        ]),
        Verdict::Fault(message) => fields.extend([("verdict", text("fault")), ("message", text(message))]),
    }
    if let Some((absolute, relative)) = finding.verdict.error() {
        fields.extend([("absolute_error", number(absolute)), ("relative_error", number(relative))]);
    }
    if let Some(ulps) = finding.verdict.ulps() {
        fields.push(("ulps", number(ulps)));
    }
    object(fields)
}

fn smallest_json(input: &Smallest) -> String {
    let elements: Vec<String> = input.elements.iter().map(|&x| number(x)).collect();
    object([
        ("dtype", text(&input.dtype.to_string())),
        ("shape", format!("{:?}", input.shape)),
        ("elements", format!("[{}]", elements.join(","))),
    ])
}

fn counts_json(name: &str, counts: Counts) -> String {
    object([
        ("name", text(name)),
        ("checks", counts.checks.to_string()),
        ("failures", counts.failures.to_string()),
        ("kinks", counts.kinks.to_string()),
    ])
}

fn object<'a>(fields: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let fields: Vec<String> = fields.into_iter().map(|(name, value)| format!("{}:{value}", text(name))).collect();
    format!("{{{}}}", fields.join(","))
}

/// A JSON string.
fn text(s: &str) -> String {
    let mut out = String::from("\"");
    for c in s.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c if c < ' ' => write!(out, "\\u{:04x}", c as u32).expect("a string takes anything"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A JSON number; NaN and infinities as strings.
fn number(x: f64) -> String {
    if x.is_finite() { format!("{x:e}") } else { text(&x.to_string()) }
}
