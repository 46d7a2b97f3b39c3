//! Models as plain structs: parameters, running statistics, and the walk over them by path.

use crate::dtype::DType;
use crate::tensor::Tensor;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

mod param;

pub use param::{Buffer, Param};

/// A place in a model: names of fields and positions, joined by dots when displayed, as in `encoder.0.weight`.
#[derive(Clone, Copy)]
pub struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    step: Step,
}

#[derive(Clone, Copy)]
enum Step {
    Field(&'static str),
    Index(usize),
}

impl<'a> Path<'a> {
    /// The model itself.
    pub const ROOT: Path<'static> = Path { parent: None, step: Step::Field("") };

    /// A field of the module here.
    pub fn field(&'a self, name: &'static str) -> Path<'a> {
        Path { parent: Some(self), step: Step::Field(name) }
    }

    /// An element of the sequence here.
    pub fn index(&'a self, at: usize) -> Path<'a> {
        Path { parent: Some(self), step: Step::Index(at) }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Some(parent) = self.parent else { return Ok(()) };
        if parent.parent.is_some() {
            write!(f, "{parent}.")?;
        }
        match self.step {
            Step::Field(name) => f.write_str(name),
            Step::Index(at) => write!(f, "{at}"),
        }
    }
}

/// What a model holds at a path.
#[derive(Clone, Copy, Debug)]
pub enum Slot<'a> {
    /// A parameter.
    Param(&'a Param),
    /// A buffer.
    Buffer(&'a Buffer),
}

/// What a model holds at a path, to be changed.
#[derive(Debug)]
pub enum SlotMut<'a> {
    /// A parameter.
    Param(&'a mut Param),
    /// A buffer.
    Buffer(&'a mut Buffer),
}

/// Parameters and buffers by path: `0.weight`.
pub type StateMap = BTreeMap<String, Tensor>;

/// Something that holds parameters: a layer, a model, a tuple or vector of them.
///
/// Implement it with [`module!`](crate::module!).
pub trait Module {
    /// Shows every parameter and buffer to `f`, always in the same order.
    fn visit<'a>(&'a self, path: &Path, f: &mut dyn FnMut(&Path, Slot<'a>));

    /// As [`visit`](Module::visit), to change them. Tied parameters are shown at every path; to change parameters,
    /// use [`update_params`](Module::update_params), which keeps them tied.
    fn visit_mut<'a>(&'a mut self, path: &Path, f: &mut dyn FnMut(&Path, SlotMut<'a>));

    /// Shows every parameter to `f` once, to change it; parameters tied to it follow.
    fn update_params(&mut self, f: &mut dyn FnMut(&Path, &mut Param)) {
        let mut ids = vec![];
        self.visit(&Path::ROOT, &mut |_, slot| {
            if let Slot::Param(param) = slot {
                ids.push(param.id);
            }
        });
        ids.sort_unstable();
        let tied: Vec<u64> = ids.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
        // Only of tied parameters a clone is kept: it would prevent that an update writes over the old value.
        let mut done: HashMap<u64, Param> = HashMap::new();
        self.visit_mut(&Path::ROOT, &mut |path, slot| {
            let SlotMut::Param(param) = slot else { return };
            match done.get(&param.id) {
                Some(first) => *param = first.clone(),
                None => {
                    f(path, param);
                    if tied.binary_search(&param.id).is_ok() {
                        done.insert(param.id, param.clone());
                    }
                }
            }
        });
    }

    /// The parameters by path, tied ones once.
    fn params(&self) -> Vec<(String, &Param)> {
        let mut found: Vec<(String, &Param)> = vec![];
        let mut seen = std::collections::HashSet::new();
        self.visit(&Path::ROOT, &mut |path, slot| match slot {
            Slot::Param(param) if seen.insert(param.id) => found.push((path.to_string(), param)),
            _ => {}
        });
        found
    }

    /// Stops learning where `pattern` matches; see [`matches`](fn@matches). Running statistics stand still, too. Returns how many
    /// parameters and buffers that were.
    ///
    /// # Errors
    /// If the pattern matches nothing.
    fn freeze(&mut self, pattern: &str) -> Result<usize, NoMatch> {
        set_frozen(self, pattern, true)
    }

    /// Undoes [`freeze`](Module::freeze).
    ///
    /// # Errors
    /// If the pattern matches nothing.
    fn unfreeze(&mut self, pattern: &str) -> Result<usize, NoMatch> {
        set_frozen(self, pattern, false)
    }

    /// Converts parameters to another floating-point element type, and buffers unless it is a half-precision one:
    /// statistics stay in `f32` then.
    fn to_dtype(&mut self, dtype: DType) {
        self.update_params(&mut |_, param| param.update(|value| value.to(dtype)));
        let wide = dtype.widened();
        self.visit(&Path::ROOT, &mut |_, slot| match slot {
            Slot::Buffer(buffer) if buffer.get().dtype().is_float() => buffer.set(buffer.get().to(wide)),
            _ => {}
        });
    }

    /// Moves parameters and buffers to another device.
    fn to_device(&mut self, device: &crate::Device) {
        self.update_params(&mut |_, param| param.update(|value| value.to_device(device)));
        self.visit(&Path::ROOT, &mut |_, slot| {
            if let Slot::Buffer(buffer) = slot {
                buffer.set(buffer.get().to_device(device));
            }
        });
    }

    /// The values of all parameters and buffers, untracked. They stay what they are when the model learns on.
    fn state(&self) -> StateMap {
        let mut state = StateMap::new();
        self.visit(&Path::ROOT, &mut |path, slot| {
            let value = match slot {
                Slot::Param(param) => param.detach(),
                Slot::Buffer(buffer) => buffer.get(),
            };
            state.insert(path.to_string(), value);
        });
        state
    }

    /// Takes over the values of another model's [`state`](Module::state). Tied parameters need only one of their
    /// entries.
    ///
    /// # Errors
    /// If entries are missing, unknown, or of another shape or element type. Nothing is changed then.
    fn load(&mut self, state: &StateMap) -> Result<(), LoadError> {
        let mut error = LoadError::default();
        let mut known = std::collections::HashSet::new();
        let mut params: HashMap<u64, Option<&Tensor>> = HashMap::new();
        let mut missing: Vec<(String, u64)> = vec![];
        self.visit(&Path::ROOT, &mut |path, slot| {
            let path = path.to_string();
            let found = state.get(&path);
            match (slot, found) {
                (Slot::Param(param), Some(value)) => {
                    error.compare(&path, param, value);
                    params.entry(param.id).or_default().get_or_insert(value);
                }
                (Slot::Param(param), None) => missing.push((path.clone(), param.id)),
                (Slot::Buffer(buffer), Some(value)) => error.compare(&path, &buffer.get(), value),
                (Slot::Buffer(_), None) => error.missing.push(path.clone()),
            }
            known.insert(path);
        });
        error.missing.extend(missing.into_iter().filter(|(_, id)| !params.contains_key(id)).map(|(path, _)| path));
        error.unexpected.extend(state.keys().filter(|path| !known.contains(*path)).cloned());
        if !error.is_empty() {
            return Err(error);
        }
        self.update_params(&mut |_, param| {
            let value = params[&param.id].expect("checked above").to_device(param.device());
            param.update(|_| value);
        });
        self.visit(&Path::ROOT, &mut |path, slot| {
            if let Slot::Buffer(buffer) = slot {
                buffer.set(state[&path.to_string()].to_device(buffer.get().device()));
            }
        });
        Ok(())
    }
}

fn set_frozen<M: Module + ?Sized>(model: &mut M, pattern: &str, frozen: bool) -> Result<usize, NoMatch> {
    let (mut hit, mut paths) = (HashMap::<u64, usize>::new(), vec![]);
    let mut buffers = 0;
    model.visit(&Path::ROOT, &mut |path, slot| {
        let path = path.to_string();
        if matches(pattern, &path) {
            match slot {
                Slot::Param(param) => *hit.entry(param.id).or_default() += 1,
                Slot::Buffer(buffer) => {
                    buffer.set_frozen(frozen);
                    buffers += 1;
                }
            }
        }
        paths.push(path);
    });
    if hit.is_empty() && buffers == 0 {
        return Err(NoMatch { pattern: pattern.into(), paths });
    }
    model.update_params(&mut |_, param| {
        if hit.contains_key(&param.id) {
            param.set_trainable(!frozen);
        }
    });
    Ok(hit.len() + buffers)
}

/// Whether a pattern names a path or a module around it. `*` stands for any characters, dots included, and `?` for
/// one.
///
/// ```
/// use cotangent_core::module::matches;
/// assert!(matches("*.bias", "encoder.0.bias"));
/// assert!(matches("encoder", "encoder.0.bias"));
/// assert!(!matches("0", "encoder.0.bias"));
/// ```
pub fn matches(pattern: &str, path: &str) -> bool {
    fn glob(pattern: &[u8], text: &[u8]) -> bool {
        match pattern {
            [] => text.is_empty(),
            [b'*', rest @ ..] => (0..=text.len()).any(|skip| glob(rest, &text[skip..])),
            [b'?', rest @ ..] => !text.is_empty() && glob(rest, &text[1..]),
            [c, rest @ ..] => text.first() == Some(c) && glob(rest, &text[1..]),
        }
    }
    let ends = path.match_indices('.').map(|(at, _)| at).chain([path.len()]);
    ends.into_iter().any(|end| glob(pattern.as_bytes(), &path.as_bytes()[..end]))
}

/// A pattern that matches nothing in a model.
#[derive(Debug, thiserror::Error)]
#[error("the pattern `{pattern}` matches none of {}", .paths.join(", "))]
pub struct NoMatch {
    /// The pattern.
    pub pattern: String,
    /// What there is to match.
    pub paths: Vec<String>,
}

/// A saved state that does not fit.
#[derive(Debug, Default, thiserror::Error)]
#[error("the state does not fit: missing [{}], unexpected [{}], different [{}]",
    .missing.join(", "), .unexpected.join(", "), .different.join(", "))]
pub struct LoadError {
    /// Paths without an entry.
    pub missing: Vec<String>,
    /// Entries without a path.
    pub unexpected: Vec<String>,
    /// Entries of another shape or element type, with both.
    pub different: Vec<String>,
}

impl LoadError {
    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.different.is_empty()
    }

    /// Notes where a value has another shape or element type than it should.
    pub fn compare(&mut self, path: &str, expected: &Tensor, found: &Tensor) {
        if expected.shape() != found.shape() || expected.dtype() != found.dtype() {
            let what = |x: &Tensor| format!("{} {}", x.dtype(), x.shape());
            self.different.push(format!("{path}: expected {}, found {}", what(expected), what(found)));
        }
    }
}

impl Module for Param {
    fn visit<'a>(&'a self, path: &Path, f: &mut dyn FnMut(&Path, Slot<'a>)) {
        f(path, Slot::Param(self));
    }
    fn visit_mut<'a>(&'a mut self, path: &Path, f: &mut dyn FnMut(&Path, SlotMut<'a>)) {
        f(path, SlotMut::Param(self));
    }
}

impl Module for Buffer {
    fn visit<'a>(&'a self, path: &Path, f: &mut dyn FnMut(&Path, Slot<'a>)) {
        f(path, Slot::Buffer(self));
    }
    fn visit_mut<'a>(&'a mut self, path: &Path, f: &mut dyn FnMut(&Path, SlotMut<'a>)) {
        f(path, SlotMut::Buffer(self));
    }
}

impl<M: Module + ?Sized> Module for Box<M> {
    fn visit<'a>(&'a self, path: &Path, f: &mut dyn FnMut(&Path, Slot<'a>)) {
        (**self).visit(path, f);
    }
    fn visit_mut<'a>(&'a mut self, path: &Path, f: &mut dyn FnMut(&Path, SlotMut<'a>)) {
        (**self).visit_mut(path, f);
    }
}

impl<M: Module> Module for Option<M> {
    fn visit<'a>(&'a self, path: &Path, f: &mut dyn FnMut(&Path, Slot<'a>)) {
        self.iter().for_each(|module| module.visit(path, f));
    }
    fn visit_mut<'a>(&'a mut self, path: &Path, f: &mut dyn FnMut(&Path, SlotMut<'a>)) {
        self.iter_mut().for_each(|module| module.visit_mut(path, f));
    }
}

macro_rules! sequences {
    ($([$($generic:tt)*] $T:ty;)*) => {$(
        impl<$($generic)*> Module for $T {
            fn visit<'a>(&'a self, path: &Path, f: &mut dyn FnMut(&Path, Slot<'a>)) {
                self.iter().enumerate().for_each(|(at, module)| module.visit(&path.index(at), f));
            }
            fn visit_mut<'a>(&'a mut self, path: &Path, f: &mut dyn FnMut(&Path, SlotMut<'a>)) {
                self.iter_mut().enumerate().for_each(|(at, module)| module.visit_mut(&path.index(at), f));
            }
        }
    )*};
}
sequences! {
    [M: Module] Vec<M>;
    [M: Module, const N: usize] [M; N];
}

macro_rules! tuples {
    ($($M:ident $at:tt),*) => {
        impl<$($M: Module),*> Module for ($($M,)*) {
            fn visit<'a>(&'a self, path: &Path, f: &mut dyn FnMut(&Path, Slot<'a>)) {
                $( self.$at.visit(&path.index($at), f); )*
            }
            fn visit_mut<'a>(&'a mut self, path: &Path, f: &mut dyn FnMut(&Path, SlotMut<'a>)) {
                $( self.$at.visit_mut(&path.index($at), f); )*
            }
        }
    };
}
crate::for_tuples!(tuples);

/// Calls a macro for tuples of 1 to 16 elements with `A 0`, `A 0, B 1`, and so on.
#[doc(hidden)]
#[macro_export]
macro_rules! for_tuples {
    ($m:ident) => {
        $crate::for_tuples!($m: [A 0] B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13, O 14, P 15);
    };
    ($m:ident: [$($done:tt)*] $($T:ident $at:tt),*) => {
        $m!($($done)*);
        $crate::for_tuples!(@next $m: [$($done)*] $($T $at),*);
    };
    (@next $m:ident: [$($done:tt)*]) => {};
    (@next $m:ident: [$($done:tt)*] $T:ident $at:tt $(, $Ts:ident $ats:tt)*) => {
        $crate::for_tuples!($m: [$($done)*, $T $at] $($Ts $ats),*);
    };
}

/// Implements [`Module`] for a struct by naming its fields: first those that hold parameters, then, behind a
/// semicolon, those that do not. A field that is not named is a compile error, so none is forgotten.
///
/// ```
/// use cotangent_core::*;
/// struct Affine { weight: Param, bias: Option<Param>, rank: usize }
/// module!(Affine { weight, bias; rank });
///
/// struct Pair<A, B>(A, B);
/// module!(Pair<A, B> { 0, 1 });
///
/// let affine = || Affine { weight: Param::new(Tensor::ones([2])), bias: None, rank: 1 };
/// let mut pair = Pair(affine(), affine());
/// assert_eq!(pair.params().iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), ["0.weight", "1.weight"]);
/// assert_eq!(pair.freeze("1").unwrap(), 1);
/// assert!(!pair.1.weight.is_tracked());
/// ```
#[macro_export]
macro_rules! module {
    ($T:ident $(<$($G:ident),+>)?) => { $crate::module!(@impl $T [$($($G),+)?] [] []); };
    ($T:ident $(<$($G:ident),+>)? { ; $($other:tt),+ $(,)? }) => {
        $crate::module!(@impl $T [$($($G),+)?] [] [$($other)+]);
    };
    ($T:ident $(<$($G:ident),+>)? { $($field:tt),+ $(,)? $(; $($other:tt),* $(,)?)? }) => {
        $crate::module!(@impl $T [$($($G),+)?] [$($field)+] [$($($other)*)?]);
    };
    (@impl $T:ident [$($G:ident),*] [$($field:tt)*] [$($other:tt)*]) => {
        impl<$($G: $crate::Module),*> $crate::Module for $T<$($G),*> {
            #[allow(unused_variables)]
            fn visit<'a>(
                &'a self, path: &$crate::module::Path, f: &mut dyn FnMut(&$crate::module::Path, $crate::module::Slot<'a>),
            ) {
                let Self { $($field: _,)* $($other: _,)* } = self; // names every field
                $( $crate::Module::visit(&self.$field, &path.field(stringify!($field)), f); )*
            }
            #[allow(unused_variables)]
            fn visit_mut<'a>(
                &'a mut self, path: &$crate::module::Path,
                f: &mut dyn FnMut(&$crate::module::Path, $crate::module::SlotMut<'a>),
            ) {
                $( $crate::Module::visit_mut(&mut self.$field, &path.field(stringify!($field)), f); )*
            }
        }
    };
}
