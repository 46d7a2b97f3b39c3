//! No operation without samples.

use cotangent_core::check::unregistered;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What needs no samples of its own, and why.
const EXEMPT: &[(&str, &str)] = &[
    ("alias", "the identity as a step of its own; checkpoints and derivatives of functions use it"),
    ("arange", "makes a new tensor"),
    ("checkpoint", "runs a function that brings its own steps"),
    ("detach", "cuts the history, so there is no gradient to check"),
    ("eye", "makes a new tensor"),
    ("from_slice", "makes a new tensor"),
    ("from_vec", "makes a new tensor"),
    ("full", "makes a new tensor"),
    ("full_like", "makes a new tensor"),
    ("grad", "the derivative itself; every check of order 2 goes through it"),
    ("linspace", "makes a new tensor"),
    ("new", "makes a new tensor"),
    ("ones", "makes a new tensor"),
    ("ones_like", "makes a new tensor"),
    ("relu6", "hardtanh with fixed bounds, checked among its samples"),
    ("retain_grad", "returns the tensor itself"),
    ("to_device", "needs two devices; every conformance run compares a device with the reference"),
    ("tracked", "makes a leaf of the same value"),
    ("zeros", "makes a new tensor"),
    ("zeros_like", "makes a new tensor"),
];

fn sources(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

#[test]
fn every_operation_has_samples_or_a_reason() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = ["ops", "autograd", "pointwise"].map(|folder| sources(&root.join(folder))).concat();
    files.push(root.join("tensor.rs"));
    let found = files.iter().flat_map(|file| {
        let names = unregistered(&std::fs::read_to_string(file).unwrap());
        names.into_iter().map(|name| (name, file.clone()))
    });
    let found: BTreeMap<String, PathBuf> = found.collect();
    let exempt: BTreeMap<&str, &str> = EXEMPT.iter().copied().collect();
    let missing: Vec<String> = (found.iter().filter(|(name, _)| !exempt.contains_key(name.as_str())))
        .map(|(name, file)| format!("{name} ({})", file.strip_prefix(&root).unwrap().display()))
        .collect();
    assert!(missing.is_empty(), "operations without samples!(..): {}", missing.join(", "));
    let stale: Vec<&&str> = exempt.keys().filter(|name| !found.contains_key(**name)).collect();
    assert!(stale.is_empty(), "exempt, but registered or gone: {stale:?}");
    assert!(EXEMPT.iter().all(|(_, reason)| reason.len() > 10));
}

#[test]
fn an_operation_without_samples_is_refused() {
    let source = r#"
impl Tensor {
    /// A comment with .record("in_comment") in it.
    #[track_caller]
    pub fn forgotten(&self, f: impl Fn(&Tensor) -> f64) -> Tensor {
        self.clone()
    }

    pub fn pair<const N: usize>(
        &self, n: [usize; N],
    ) -> (Tensor, Tensor) {
        self.fold("exp")
    }

    pub fn several(&self) -> Vec<Tensor> {
        pointwise(|[x]| x).named("unnamed").call([self])
    }

    pub fn matmul(&self) -> Tensor {
        self.detach().record("step_without_samples").done()
    }

    pub fn observe(&self, f: impl Fn(&Tensor) -> Tensor) {
    }

    pub fn count(&self) -> usize {
        1
    }

    fn private(&self) -> Tensor {
        self.clone()
    }
}

impl Other {
    pub fn elsewhere(&self) -> Tensor {
        self.0.clone()
    }
}
"#;
    assert_eq!(unregistered(source), ["forgotten", "pair", "several", "step_without_samples", "unnamed"]);
}
