use super::*;

fn waiting(count: usize) -> Shared {
    let shared = Shared::default();
    let message = || Line::message("a message\n".to_owned());
    let mut state = shared.lock();
    state.has_thread = true;
    state.waiting.extend(std::iter::repeat_with(message).take(count));
    state.waiting_bytes = count * message().text.len();
    drop(state);
    shared
}

#[test]
fn a_panic_that_recurs_immediately_ends_the_thread_and_the_next_message_starts_another() {
    let shared = waiting(1);
    let mut panics = 0;
    shared.write_despite_panics(|| {
        panics += 1;
        panic!("before any message is taken");
    });
    let state = shared.lock();
    assert_eq!((panics, state.has_thread, state.lost, state.waiting.len()), (MAX_IDLE_PANICS, false, 0, 1));
}

#[test]
fn without_a_thread_the_caller_writes_what_is_accepted_and_buffers_the_rest() {
    let shared = waiting(3);
    let mut state = shared.lock();
    (state.has_thread, state.lost_line) = (false, "{lost} lost\n".to_owned());
    state.waiting[1].lost_before = 2;
    let (mut written, mut room) = (Vec::new(), 0);
    for (more, expected) in
        [(0, ""), (4, "a me"), (6, "a message\n"), (100, "a message\n2 lost\na message\na message\n")]
    {
        room += more;
        state.write_without_thread(
            &mut |piece| {
                let count = min(piece.len(), room - written.len());
                written.extend_from_slice(&piece[..count]);
                if count == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(count) }
            },
            &mut || true,
        );
        assert_eq!(String::from_utf8_lossy(&written), expected);
    }
    assert_eq!((state.waiting.len(), state.waiting_bytes, state.lost), (0, 0, 0));
}

#[test]
fn each_panic_while_writing_loses_one_message_and_does_not_end_the_thread() {
    let shared = waiting(100);
    let mut panics = 0;
    shared.write_despite_panics(|| {
        panics += 1;
        if !shared.lock().waiting.is_empty() {
            shared.next_line();
        }
        panic!("while it is written");
    });
    let state = shared.lock();
    assert_eq!((panics, state.lost, state.waiting_bytes), (100 + MAX_IDLE_PANICS, 100, 0));
}

#[test]
fn lost_messages_name_the_error_that_lost_them() {
    let mut state = State { lost_line: "{lost} ({why})\n".to_owned(), ..State::default() };
    state.waiting.push_back(Line { lost_before: 2, ..Line::message("a\n".to_owned()) });
    state.waiting_bytes = 2;
    state.write_without_thread(&mut |_| Err(disk_full()), &mut || true);
    assert!(!state.is_busy(), "a failed write is not repeated at once");
    let lost_before = std::mem::take(&mut state.lost);
    state.waiting.push_back(Line { lost_before, ..Line::message("b\n".to_owned()) });
    state.waiting_bytes += 2;
    let mut written = Vec::new();
    let mut write = |piece: &[u8]| {
        written.extend_from_slice(piece);
        Ok(piece.len())
    };
    state.write_without_thread(&mut write, &mut || true);
    let expected = format!("3 (cannot write to standard error: {})\nb\n", words_of(&disk_full()));
    assert_eq!(String::from_utf8_lossy(&written), expected);
    assert_eq!(describe_lost("{why}", 1, None), TOO_SLOW);
}

#[test]
fn the_number_of_lost_messages_is_told_without_another_message() {
    let shared = waiting(1);
    shared.lock().lost = 7;
    let lines = [shared.next_line(), shared.next_line()];
    assert_eq!(lines.map(|line| (line.text.len(), line.lost_before, line.covers)), [(10, 0, 1), (0, 7, 0)]);
    assert_eq!(shared.lock().waiting_bytes, 0);

    let mut state = State { lost_line: "{lost}\n".to_owned(), lost: 7, ..State::default() };
    assert!(state.is_busy());
    let mut written = Vec::new();
    let mut write = |piece: &[u8]| {
        written.extend_from_slice(piece);
        Ok(piece.len())
    };
    state.write_without_thread(&mut write, &mut || true);
    assert_eq!((written, state.lost, state.waiting_bytes, state.is_busy()), (b"7\n".to_vec(), 0, 0, false));
}

fn disk_full() -> io::Error {
    io::ErrorKind::StorageFull.into()
}

#[test]
fn times_follow_the_calendar() {
    for (milliseconds, expected) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (951_782_399_999, "2000-02-28T23:59:59.999Z"),
        (951_782_400_000, "2000-02-29T00:00:00.000Z"),
        (951_868_800_000, "2000-03-01T00:00:00.000Z"),
        (1_767_225_599_007, "2025-12-31T23:59:59.007Z"),
        (1_767_225_600_000, "2026-01-01T00:00:00.000Z"),
        (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
    ] {
        assert_eq!(iso_time(UNIX_EPOCH + Duration::from_millis(milliseconds)), expected);
    }
}
