//! The ends of streams.

use super::*;

#[test]
fn an_abort_comes_after_the_octets_before_it() {
    let stream = Stream::new(StreamLimits::DEFAULT, None);
    let (first, second) = (stream.reader(None), stream.reader(None));
    stream.push_all([Bytes::from_static(b"a"), Bytes::from_static(b"b")]);
    stream.abort();
    assert!(stream.is_aborted() && !stream.is_finished());
    assert_eq!(stream.push(Bytes::from_static(b"c")), Pressure::Discarded);
    for reader in [first, second] {
        let mut out = VecDeque::new();
        assert_eq!(reader.pull(1, &mut out), Pull::Data);
        assert_eq!(reader.pull(usize::MAX, &mut out), Pull::Data);
        assert_eq!(reader.pull(usize::MAX, &mut out), Pull::Aborted);
        assert_eq!(out.make_contiguous().concat(), b"ab");
    }
}

#[test]
fn readers_of_a_stream_that_is_discarded_learn_that_nothing_more_comes() {
    let mailbox = Arc::<Mailbox>::default();
    let notify = |key| Some(Notify { mailbox: Arc::clone(&mailbox), key });
    let stream = Stream::new(StreamLimits::DEFAULT, notify(0));
    stream.retain();
    let readers = [1, 2].map(|key| stream.reader(notify(key)));
    stream.push(Bytes::from_static(b"a"));
    let mut out = VecDeque::new();
    assert_eq!(readers[0].pull(usize::MAX, &mut out), Pull::Data);
    assert_eq!(readers[0].pull(usize::MAX, &mut out), Pull::Empty);
    stream.discard();
    let mut ready = Vec::new();
    mailbox.take(&mut Vec::new(), &mut ready);
    assert_eq!(ready, [1], "the other one did not wait");
    assert_eq!(stream.push(Bytes::from_static(b"b")), Pressure::Discarded);
    stream.finish();
    for reader in readers {
        assert_eq!(reader.pull(usize::MAX, &mut out), Pull::Aborted, "there should have been more");
    }
    assert!(stream.reader_anew().is_none());
    assert_eq!((out.make_contiguous().concat(), stream.buffered()), (b"a".to_vec(), 0));
}

#[test]
fn a_stream_that_is_discarded_after_its_end_is_not_taken_for_a_shorter_one() {
    let stream = Stream::new(StreamLimits::DEFAULT, None);
    let reader = stream.reader(None);
    stream.push(Bytes::from_static(b"a"));
    stream.finish();
    stream.discard();
    assert_eq!(reader.pull(usize::MAX, &mut VecDeque::new()), Pull::Aborted);
}

#[test]
fn every_reader_learns_how_a_stream_was_finished() {
    for finish in [Finish::Orderly, Finish::Bare] {
        let stream = Stream::new(StreamLimits::DEFAULT, None);
        stream.retain();
        let first = stream.reader(None);
        stream.push(Bytes::from_static(b"a"));
        stream.finish_as(finish);
        stream.finish_as(Finish::Orderly);
        stream.abort();
        assert!(stream.is_finished());
        let anew = stream.reader_anew().expect("retained");
        for reader in [first, anew] {
            let mut out = VecDeque::new();
            assert_eq!(reader.pull(usize::MAX, &mut out), Pull::Done(finish), "with the last octets");
            assert_eq!(reader.pull(usize::MAX, &mut out), Pull::Done(finish), "asked again");
        }
    }
}
