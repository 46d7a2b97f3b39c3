//! Reports as JUnit XML.

use super::report::{Counts, Finding, Report};
use std::time::Duration;

impl Report {
    /// The report as JUnit XML, which continuous integration reads: a test case for each operation, with its failures
    /// in full; the seed and the line that repeats the check are properties.
    ///
    /// ```
    /// use cotangent_core::{check::*, *};
    /// let xml = gradcheck(|[x]| x.exp(), [&Tensor::new([0.5], [1])]).to_junit();
    /// assert!(xml.contains(r#"<testsuite name="gradcheck" tests="1" failures="0" skipped="0""#));
    /// ```
    pub fn to_junit(&self) -> String {
        let mut cases: String = self.operations.iter().map(|(name, counts)| self.case(name, counts)).collect();
        for name in &self.unchecked {
            cases += &self.tag(name, "<skipped message=\"not checked: the time was used up\"/>");
        }
        let failed = self.operations.values().filter(|counts| counts.failures > 0).count();
        let nothing = self.counts().checks == 0;
        if nothing {
            cases += &self.tag("everything", "<error message=\"nothing was checked\"/>");
        }
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <testsuite name=\"{}\" tests=\"{}\" failures=\"{failed}\" skipped=\"{}\" errors=\"{}\" time=\"{:.3}\">\n\
             <properties><property name=\"seed\" value=\"{}\"/><property name=\"replay\" value=\"{}\"/></properties>\n\
             {cases}</testsuite>\n",
            escaped(&self.subject),
            self.operations.len() + self.unchecked.len() + nothing as usize,
            self.unchecked.len(),
            nothing as u8,
            self.times.values().sum::<Duration>().as_secs_f64(),
            self.seed,
            escaped(&self.replay),
        )
    }

    /// A test case.
    fn tag(&self, name: &str, body: &str) -> String {
        let time = self.times.get(name).map_or(String::new(), |time| format!(" time=\"{:.3}\"", time.as_secs_f64()));
        let (subject, name) = (escaped(&self.subject), escaped(name));
        format!("<testcase classname=\"{subject}\" name=\"{name}\"{time}>{body}</testcase>\n")
    }

    fn case(&self, name: &str, counts: &Counts) -> String {
        let found = |failures: bool| {
            let of_this = move |found: &&Finding| found.operation == name && found.verdict.is_failure() == failures;
            self.findings.iter().filter(of_this).map(Finding::to_string).collect::<Vec<_>>()
        };
        let mut body = String::new();
        let (failures, kinks) = (found(true), found(false));
        if let Some(first) = failures.first() {
            let message = format!("{} of {} checks failed: {first}", counts.failures, counts.checks);
            let smallest: String = self.smallest.iter().map(|input| format!("\nsmallest input: {input}")).collect();
            let all = format!("{}{smallest}\nseed: {}\nreplay: {}", failures.join("\n"), self.seed, self.replay);
            body += &format!("<failure message=\"{}\">{}</failure>", escaped(&message), escaped(&all));
        }
        if !kinks.is_empty() {
            body += &format!("<system-out>{}</system-out>", escaped(&kinks.join("\n")));
        }
        self.tag(name, &body)
    }
}

/// Text as it may stand in XML, in attributes too. Characters that XML cannot hold become U+FFFD.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // A parser turns them into spaces in attributes.
            '\n' | '\r' | '\t' => out.push_str(&format!("&#{};", c as u32)),
            '\0'..' ' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::report::{Place, Verdict};
    use super::*;

    #[test]
    fn text_is_escaped() {
        assert_eq!(escaped("a<b && \"c\">d'"), "a&lt;b &amp;&amp; &quot;c&quot;&gt;d'");
        assert_eq!(escaped("1\n2\t3\r4"), "1&#10;2&#9;3&#13;4");
        assert_eq!(escaped("\0\u{1b}[1m\u{7f}é\u{ffff}"), "\u{fffd}\u{fffd}[1m\u{7f}é\u{fffd}");
    }

    #[test]
    fn each_operation_is_a_test_case() {
        let mut report = Report::new("conformance of \"a<b\"", 7, "run(\"x\")".into());
        report.passed("exp", 3);
        report.times.insert("exp".into(), Duration::from_millis(250));
        report.unchecked.push("zeros".into());
        let output = Place { tensor: 0, index: vec![1, 2] };
        report.found("log", "matrix", Verdict::Value { output, actual: 1.0, expected: 2.0 });
        report.found("log", "shape", Verdict::Fault("expected <f64> & got\u{1}".into()));
        report.found("relu", "", Verdict::Kink { input: 0, index: vec![0], left: 0.0, right: 1.0, analytic: 0.0 });
        let xml = report.to_junit();
        let expected = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuite name="conformance of &quot;a&lt;b&quot;" tests="4" failures="1" skipped="1" errors="0" time="0.250">
<properties><property name="seed" value="7"/><property name="replay" value="run(&quot;x&quot;)"/></properties>
<testcase classname="conformance of &quot;a&lt;b&quot;" name="exp" time="0.250"></testcase>
"#;
        assert!(xml.starts_with(expected), "{xml}");
        for part in [
            r#"<failure message="2 of 2 checks failed: log (matrix): output 0 [1, 2]: 1e0, expected 2e0;"#,
            "log (shape): expected &lt;f64&gt; &amp; got\u{fffd}&#10;seed: 7&#10;replay: run(&quot;x&quot;)</failure>",
            "<system-out>relu: kink at input 0 [0]: slopes 0e0 and 1e0, gradient 0e0</system-out>",
            r#"name="zeros"><skipped message="not checked: the time was used up"/></testcase>"#,
        ] {
            assert!(xml.contains(part), "{part} is not in {xml}");
        }
    }

    #[test]
    fn nothing_checked_is_an_error() {
        let xml = Report::new("conformance", 1, String::new()).to_junit();
        assert!(xml.contains(r#"tests="1" failures="0" skipped="0" errors="1""#), "{xml}");
        assert!(xml.contains(r#"<error message="nothing was checked"/>"#), "{xml}");
    }
}
