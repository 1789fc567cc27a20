//! Random runs: a crash agrees with a run that is cut short.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Create(u8),
    Append(u8, usize),
    Truncate(u8, usize),
    Sync(u8),
    Rename(u8, u8),
    Link(u8, u8),
    Remove(u8),
    SyncDir,
}

fn step() -> impl Strategy<Value = Step> {
    let file = 0..4u8;
    prop_oneof![
        2 => file.clone().prop_map(Step::Create),
        4 => (file.clone(), 1..9000usize).prop_map(|(f, n)| Step::Append(f, n)),
        1 => (file.clone(), 0..9000usize).prop_map(|(f, n)| Step::Truncate(f, n)),
        2 => file.clone().prop_map(Step::Sync),
        1 => (file.clone(), file.clone()).prop_map(|(a, b)| Step::Rename(a, b)),
        1 => (file.clone(), file.clone()).prop_map(|(a, b)| Step::Link(a, b)),
        1 => file.prop_map(Step::Remove),
        1 => Just(Step::SyncDir),
    ]
}

fn name(file: u8) -> PathBuf {
    PathBuf::from(format!("/{file}"))
}

fn perform(fs: &SimFs, steps: &[Step]) -> io::Result<()> {
    let mut open: [Option<Box<dyn WriteFile>>; 4] = [None, None, None, None];
    for (i, step) in steps.iter().enumerate() {
        let done = match *step {
            Step::Create(f) => {
                fs.create_new(&name(f)).map(|file| open[usize::from(f)] = Some(file))
            }
            Step::Rename(a, b) => fs.rename(&name(a), &name(b)),
            Step::Link(a, b) => fs.hard_link(&name(a), &name(b)),
            Step::Remove(f) => fs.remove(&name(f)),
            Step::SyncDir => fs.sync_dir(Path::new("/"), DIR_POINT),
            Step::Append(f, _) | Step::Truncate(f, _) | Step::Sync(f) => {
                let Some(file) = &mut open[usize::from(f)] else { continue };
                match *step {
                    Step::Append(_, len) => file.append(&vec![i as u8 + 1; len]),
                    Step::Truncate(_, len) => file.truncate(file.len().min(len as u64)),
                    _ => file.sync_data(POINT),
                }
            }
        };
        match done {
            Err(e) if is_crash(&e) => return Err(e),
            _ => {} // a step that makes no sense here
        }
    }
    Ok(())
}

fn image(fs: &SimFs) -> Vec<(PathBuf, Vec<u8>)> {
    fs.files().into_iter().map(|path| (path.clone(), fs.read_file(path).unwrap())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// A crash at operation k that keeps everything is the run cut at k; if everything was synced
    /// before the crash, every plan leaves the same disk.
    #[test]
    fn crashes_agree_with_runs_cut_short(
        steps in proptest::collection::vec(step(), 1..30),
        at in any::<prop::sample::Index>(),
        seed in any::<u64>(),
    ) {
        let whole = SimFs::new();
        perform(&whole, &steps).unwrap();
        let at = at.index(whole.ops() as usize + 1) as u64;
        let cut = SimFs::new();
        cut.crash_at(at);
        let _ = perform(&cut, &steps);
        prop_assert_eq!(&cut.trace()[..], &whole.trace()[..at as usize]);
        prop_assert_eq!(image(&cut.crash(CrashPlan::ALL_KEPT)), image(&cut));
        prop_assert_eq!(image(&cut.crash(CrashPlan::before(at))), image(&cut));
        prop_assert_eq!(
            image(&cut.crash(CrashPlan::before(0))),
            image(&cut.crash(CrashPlan::ALL_LOST))
        );

        let synced = cut.fork();
        for inode in synced.state().inodes.values_mut() {
            inode.sync();
        }
        sync_root(&synced);
        for plan in CrashPlan::spread(seed, 4) {
            prop_assert_eq!(image(&synced.crash(plan)), image(&cut));
            // A survivor has nothing left to lose.
            let survivor = cut.crash(plan);
            let again = survivor.crash(CrashPlan::ALL_LOST);
            prop_assert_eq!(image(&again), image(&survivor));
        }
    }
}
