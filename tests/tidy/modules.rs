//! The modules of the workspace and which of them import which, file by file.
//!
//! `circles` asks. A name that a module passes on by `use` is followed to the module that defines it,
//! so that a re-export neither makes an import nor hides one.

use std::collections::{BTreeMap, BTreeSet};

use crate::imports::FileImports;

/// How many re-exports a name may go through; more is a loop in what the text says.
const REEXPORTS_MAX: usize = 16;

/// One file.
struct Module {
    file: String,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    said: FileImports,
}

/// The files of all crates: a tree for each `lib.rs` and `main.rs`.
#[derive(Default)]
pub(crate) struct Modules {
    modules: Vec<Module>,
}

/// What a path leads to.
#[derive(Clone, Copy)]
enum Place {
    Module(usize),
    /// Something that this module defines.
    ItemOf(usize),
}

impl Place {
    fn module(self) -> usize {
        match self {
            Self::Module(module) | Self::ItemOf(module) => module,
        }
    }
}

/// One file imports another.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Clone)]
pub(crate) struct Edge {
    pub from: String,
    pub to: String,
    /// The path that does it, as written.
    pub path: String,
}

impl Modules {
    /// The modules that `files` (path, text) hold; files that no `mod` outside tests declares are
    /// left out.
    pub(crate) fn of(files: &BTreeMap<String, String>) -> Self {
        let mut modules = Self::default();
        for path in files.keys() {
            if path.ends_with("/lib.rs") || path.ends_with("/main.rs") {
                modules.add(path, None, files);
            }
        }
        modules
    }

    fn add(
        &mut self,
        file: &str,
        parent: Option<usize>,
        files: &BTreeMap<String, String>,
    ) -> usize {
        let at = self.modules.len();
        let said = FileImports::of(&files[file]);
        let names = said.children.clone();
        let children = BTreeMap::new();
        self.modules.push(Module { file: file.to_owned(), parent, children, said });
        let folder = ["/lib.rs", "/main.rs", "/mod.rs", ".rs"]
            .iter()
            .find_map(|end| file.strip_suffix(end))
            .expect("a Rust file");
        for name in names {
            let places = [format!("{folder}/{name}.rs"), format!("{folder}/{name}/mod.rs")];
            let place = places.iter().find(|place| files.contains_key(*place));
            // Tests may take a file from elsewhere by `#[path]`: it is left out.
            assert!(place.is_some() || !file.contains("src/"), "{file}: no file for mod {name}");
            let Some(place) = place else { continue };
            let child = self.add(place, Some(at), files);
            self.modules[at].children.insert(name, child);
        }
        at
    }

    /// Every import of one file by another, but for those between a module and its own child.
    pub(crate) fn edges(&self) -> BTreeSet<Edge> {
        let mut edges = BTreeSet::new();
        for (from, module) in self.modules.iter().enumerate() {
            let imported = module.said.imports.iter().map(|import| &import.path);
            for path in imported.chain(&module.said.paths) {
                let Some(to) = self.resolve(from, path, 0).map(Place::module) else { continue };
                let family = module.parent == Some(to) || self.modules[to].parent == Some(from);
                if to != from && !family {
                    edges.insert(Edge {
                        from: module.file.clone(),
                        to: self.modules[to].file.clone(),
                        path: path.join("::"),
                    });
                }
            }
        }
        edges
    }

    /// What `path`, written in the module `from`, leads to; `None` if it leaves the crate.
    fn resolve(&self, from: usize, path: &[String], reexports: usize) -> Option<Place> {
        if reexports > REEXPORTS_MAX {
            return None;
        }
        let (first, rest) = path.split_first()?;
        let mut place = match first.as_str() {
            "crate" => Place::Module(self.root(from)),
            "self" => Place::Module(from),
            "super" => Place::Module(self.modules[from].parent?),
            name => self.visible(from, name, reexports)?,
        };
        for name in rest {
            let Place::Module(at) = place else { break };
            place = match name.as_str() {
                "super" => Place::Module(self.modules[at].parent?),
                name => self.visible(at, name, reexports).unwrap_or(Place::ItemOf(at)),
            };
        }
        Some(place)
    }

    fn root(&self, mut module: usize) -> usize {
        while let Some(parent) = self.modules[module].parent {
            module = parent;
        }
        module
    }

    /// What `name` is in the module `at`, if it is a child of it or imported there.
    fn visible(&self, at: usize, name: &str, reexports: usize) -> Option<Place> {
        let module = &self.modules[at];
        if let Some(child) = module.children.get(name) {
            return Some(Place::Module(*child));
        }
        if let Some(import) = module.said.imports.iter().find(|import| import.name == name) {
            return self.resolve(at, &import.path, reexports + 1);
        }
        if module.said.items.contains(name) {
            return None;
        }
        module.said.imports.iter().filter(|import| import.name == "*").find_map(|import| {
            let from = self.resolve(at, &import.path, reexports + 1)?.module();
            let defined = self.modules[from].said.items.contains(name);
            let passed_on = || self.visible(from, name, reexports + 1);
            if defined { Some(Place::ItemOf(from)) } else { passed_on() }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(files: &[(&str, &str)]) -> Vec<String> {
        let files = files.iter().map(|(p, t)| ((*p).to_owned(), (*t).to_owned())).collect();
        let said = |e: Edge| format!("{} -> {}: {}", e.from, e.to, e.path);
        Modules::of(&files).edges().into_iter().map(said).collect()
    }

    #[test]
    fn reexports_are_followed_to_the_file_that_defines() {
        let found = edges(&[
            ("src/lib.rs", "mod a;\nmod b;\npub use a::Deep;"),
            ("src/a/mod.rs", "mod c;\nmod d;\npub(crate) use c::Deep;\npub struct Own;"),
            ("src/a/c.rs", "pub use self::e::Deep;\nmod e;"),
            ("src/a/c/e.rs", "pub struct Deep;"),
            ("src/a/d.rs", "use super::{Deep, Own};"),
            ("src/b.rs", "use crate::a::{self, Own};\nfn f() { a::Deep::new(); crate::Deep }"),
        ]);
        assert_eq!(
            found,
            [
                "src/a/d.rs -> src/a/c/e.rs: super::Deep",
                "src/a/mod.rs -> src/a/c/e.rs: c::Deep",
                "src/b.rs -> src/a/c/e.rs: a::Deep::new",
                "src/b.rs -> src/a/c/e.rs: crate::Deep",
                "src/b.rs -> src/a/mod.rs: crate::a",
                "src/b.rs -> src/a/mod.rs: crate::a::Own",
                "src/lib.rs -> src/a/c/e.rs: a::Deep",
            ]
        );
    }

    #[test]
    fn globs_and_inline_paths_count_and_tests_do_not() {
        let found = edges(&[
            ("src/main.rs", "mod a;\nmod b;\n#[cfg(test)]\nmod tests;"),
            ("src/a.rs", "pub fn f() { super::b::g() }\n#[cfg(test)]\nmod tests { use super::b; }"),
            ("src/b.rs", "use crate::a::*;\npub fn g() { self::f::<u8>() }"),
            ("src/tests.rs", "use crate::a::f;"),
        ]);
        assert_eq!(
            found,
            [
                "src/a.rs -> src/b.rs: super::b::g",
                "src/b.rs -> src/a.rs: crate::a",
                "src/b.rs -> src/a.rs: self::f",
            ]
        );
    }
}
