//! Hooks and retained gradients.

mod common;

use common::{panic_of, values, x};
use cotangent_core::*;
use std::sync::{Arc, Mutex};

#[test]
fn hooks_see_the_complete_gradient_in_order() {
    let w = x(&[1.0, 2.0]);
    let log = Arc::new(Mutex::new(vec![]));
    let note = |name: &'static str| {
        let log = log.clone();
        move |g: &Tensor| log.lock().unwrap().push((name, values(g)))
    };
    let (one, two) = (note("one"), note("two"));
    let first = w.hook(move |g| {
        one(g);
        Some(g * 10.0)
    });
    let _second = w.hook(move |g| {
        two(g);
        None
    });
    let loss = || (w.square() + &w).sum(..);
    assert_eq!(values(&loss().backward()[&w]), [30.0, 50.0]);
    assert_eq!(*log.lock().unwrap(), [("one", vec![3.0, 5.0]), ("two", vec![30.0, 50.0])]);
    drop(first);
    assert_eq!(values(&loss().backward()[&w]), [3.0, 5.0]);
}

#[test]
fn a_hook_on_a_step_changes_what_flows_on() {
    let w = x(&[1.0, -2.0]);
    let y = &w * 3.0;
    let _clip = y.hook(|g| Some(g.clamp_to(1.0)));
    let g = (&y * 100.0).sum(..).backward();
    assert_eq!(values(&g[&w]), [3.0, 3.0]);
    assert!(g.get(&y).is_none(), "only leaves are reported");
}

trait Clamp {
    fn clamp_to(&self, most: f64) -> Tensor;
}
impl Clamp for Tensor {
    fn clamp_to(&self, most: f64) -> Tensor {
        self.minimum(most).maximum(-most)
    }
}

#[test]
fn a_hook_must_keep_shape_and_type() {
    let w = x(&[1.0, -2.0]);
    let _hook = w.hook(|g| Some(g.sum(..)));
    let here = line!() + 1;
    let panic = panic_of(|| drop(w.square().sum(..).backward()));
    assert!(
        panic.message.starts_with("hook: it returned a gradient of shape [] and type f32 for the result of `leaf`")
    );
    assert_eq!((panic.file.as_str(), panic.line), (file!(), here));
}

#[test]
fn retained_gradients_are_reported() {
    let w = x(&[2.0]);
    let y = w.square();
    y.retain_grad();
    let g = (&y * 5.0).backward();
    assert_eq!((values(&g[&y]), values(&g[&w])), (vec![5.0], vec![20.0]));
}
