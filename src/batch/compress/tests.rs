//! Promises about the codecs, and what each must survive.

use proptest::prelude::*;

use super::*;

const LIMIT: usize = 1 << 20;

const CODECS: [Compression; 4] = [
    Compression::Gzip(None),
    Compression::Snappy,
    Compression::Lz4(None),
    Compression::Zstd(None),
];

fn packed(compression: Compression, input: &[u8]) -> Vec<u8> {
    Scratch::with(|scratch, out| {
        compress(scratch, compression, input, out).unwrap();
        out.clone()
    })
}

/// Into a buffer that is not clean, as those are that were used before.
fn decompress(codec: Codec, input: &[u8], limit: usize) -> Result<Vec<u8>, Malformed> {
    let mut out = Output::used(vec![0xaa; 70_000]);
    super::decompress(codec, input, limit, &mut out)?;
    Ok(out.into_vec())
}

fn text(len: usize) -> Vec<u8> {
    let words = [
        "{\"id\":",
        "17,",
        "\"status\":",
        "\"DONE\"",
        "}",
        "\n",
        "ticket",
    ];
    let mut random = fastrand::Rng::with_seed(7);
    let mut text = Vec::new();
    while text.len() < len {
        text.extend_from_slice(words[random.usize(..words.len())].as_bytes());
    }
    text.truncate(len);
    text
}

fn reason(codec: Codec, input: &[u8], limit: usize) -> String {
    decompress(codec, input, limit).unwrap_err().to_string()
}

#[test]
fn every_size_around_a_block_reads_back() {
    let text = text(200_000);
    let sizes = [
        0, 1, 4, 12, 13, 100, 32_767, 32_768, 32_769, 65_535, 65_536, 65_537, 200_000,
    ];
    for compression in CODECS {
        for size in sizes {
            let packed = packed(compression, &text[..size]);
            let plain = decompress(codec(compression), &packed, LIMIT).unwrap();
            assert!(plain == text[..size], "{compression:?}, {size} bytes");
        }
    }
}

#[test]
fn every_level_reads_back() {
    let text = text(100_000);
    let gzip = (1..=9).map(|level| Compression::Gzip(Some(level)));
    let zstd = (-7..=4).map(|level| Compression::Zstd(Some(level)));
    let lz4 = [1, 9, 17].map(|level| Compression::Lz4(Some(level)));
    for compression in gzip.chain(zstd).chain(lz4) {
        let packed = packed(compression, &text);
        assert!(packed.len() < text.len(), "{compression:?}");
        assert!(decompress(codec(compression), &packed, LIMIT).unwrap() == text);
    }
}

#[test]
fn what_just_fits_the_limit_is_accepted() {
    let text = text(100_000);
    for compression in CODECS {
        let codec = codec(compression);
        let packed = packed(compression, &text);
        assert!(decompress(codec, &packed, text.len()).unwrap() == text);
        for limit in [0, 1, 50_000, text.len() - 1] {
            let reason = reason(codec, &packed, limit);
            assert!(
                reason.contains(&format!("more than {limit} bytes")),
                "{codec:?}: {reason}"
            );
        }
    }
}

#[test]
fn streams_one_after_another_are_read_as_one() {
    let (one, two) = (text(70_000), text(300));
    for compression in CODECS {
        let codec = codec(compression);
        let both = [packed(compression, &one), packed(compression, &two)].concat();
        let whole = [one.as_slice(), &two].concat();
        assert!(
            decompress(codec, &both, LIMIT).unwrap() == whole,
            "{codec:?}"
        );
        // The limit holds for all of them together, not for each.
        let reason = reason(codec, &both, 70_100);
        assert!(
            reason.contains("more than 70100 bytes"),
            "{codec:?}: {reason}"
        );
    }
}

#[test]
fn a_stream_cut_anywhere_is_an_error_or_shorter() {
    let text = text(5_000);
    for compression in CODECS {
        let codec = codec(compression);
        let packed = packed(compression, &text);
        for len in 1..packed.len() {
            // Behind snappy's framing header an end is not to be told from a cut.
            if let Ok(plain) = decompress(codec, &packed[..len], LIMIT) {
                assert!(
                    codec == Codec::Snappy && len == 16 && plain.is_empty(),
                    "{codec:?}, {len}"
                );
            }
        }
    }
}

#[test]
fn bytes_behind_a_stream_are_an_error() {
    for compression in CODECS {
        let mut packed = packed(compression, &text(500));
        packed.extend_from_slice(b"more than a header's worth of bytes that are none");
        assert!(
            decompress(codec(compression), &packed, LIMIT).is_err(),
            "{compression:?}"
        );
    }
}

#[test]
fn a_bomb_stops_at_the_limit() {
    let zeros = vec![0; 16 << 20];
    for compression in CODECS {
        let packed = packed(compression, &zeros);
        let codec = codec(compression);
        if codec == Codec::Gzip {
            assert!(packed.len() * 1_000 < zeros.len());
        }
        assert!(reason(codec, &packed, LIMIT).contains("more than 1048576 bytes"));
    }
}

#[test]
fn raw_snappy_is_read() {
    let text = text(100_000);
    let raw = snap::raw::Encoder::new().compress_vec(&text).unwrap();
    assert!(decompress(Codec::Snappy, &raw, LIMIT).unwrap() == text);
}

#[test]
fn snappy_that_claims_four_gigabytes_allocates_nothing() {
    let claim = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x00, b'x'];
    assert!(reason(Codec::Snappy, &claim, LIMIT).contains("more than"));
    assert!(reason(Codec::Snappy, &claim, usize::MAX).contains("claimed to be in 7"));
    let mut framed = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\0\0\0\x07".to_vec();
    framed.extend_from_slice(&claim);
    assert!(reason(Codec::Snappy, &framed, usize::MAX).contains("claimed to be in 7"));
}

#[test]
fn snappy_blocks_longer_than_what_is_left_are_errors() {
    for len in [8u32, 0x7fff_ffff, u32::MAX] {
        let mut framed = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
        framed.extend_from_slice(&len.to_be_bytes());
        framed.extend_from_slice(&[1, 0, b'x']);
        assert!(reason(Codec::Snappy, &framed, LIMIT).contains("too early"));
    }
}

/// lz4_flex's own frames, in the forms that other clients write.
fn lz4_frame(text: &[u8], info: lz4_flex::frame::FrameInfo) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn lz4_frames_of_other_writers_are_read() {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameInfo};
    let text = text(400_000);
    for mode in [BlockMode::Independent, BlockMode::Linked] {
        for size in [BlockSize::Max64KB, BlockSize::Max256KB, BlockSize::Max4MB] {
            let plain = FrameInfo::new().block_mode(mode).block_size(size);
            let full = plain
                .clone()
                .block_checksums(true)
                .content_checksum(true)
                .content_size(Some(text.len() as u64));
            for info in [plain, full] {
                let frame = lz4_frame(&text, info);
                assert!(decompress(Codec::Lz4, &frame, LIMIT).unwrap() == text);
                let twice = [frame.as_slice(), &frame].concat();
                assert!(decompress(Codec::Lz4, &twice, LIMIT).unwrap() == text.repeat(2));
            }
        }
    }
}

#[test]
fn our_lz4_frames_are_read_by_others() {
    use std::io::Read;
    for size in [0, 1, 1_000, 65_536, 300_000] {
        let text = text(size);
        let packed = packed(Compression::Lz4(None), &text);
        let mut plain = Vec::new();
        let mut decoder = lz4_flex::frame::FrameDecoder::new(packed.as_slice());
        decoder.read_to_end(&mut plain).unwrap();
        assert!(plain == text, "{size}");
    }
}

#[test]
fn lz4_blocks_and_sizes_that_lie_are_errors() {
    let header = [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];
    let frame = |rest: &[u8]| [&header, rest].concat();
    // A block longer than the frame allows, or than what is left.
    let long = frame(&[0x01, 0x00, 0x01, 0x00, 0x00]);
    assert!(reason(Codec::Lz4, &long, LIMIT).contains("block of 65537 bytes"));
    assert!(reason(Codec::Lz4, &frame(&[5, 0, 0, 0, 1]), LIMIT).contains("too early"));
    // A match before the beginning of the block.
    let before = frame(&[4, 0, 0, 0, 0x10, b'x', 9, 0, 0, 0, 0, 0]);
    assert!(decompress(Codec::Lz4, &before, LIMIT).is_err());
    // Content sizes that are not the content's.
    for size in [0u64, 2, u64::MAX] {
        let mut sized = vec![0x04, 0x22, 0x4d, 0x18, 0x68, 0x40];
        sized.extend_from_slice(&size.to_le_bytes());
        sized.extend_from_slice(&[0, 1, 0, 0, 0x80, b'x', 0, 0, 0, 0]);
        assert!(reason(Codec::Lz4, &sized, LIMIT).contains("another length"));
    }
    for version_and_size in [[0x20, 0x40], [0x61, 0x40], [0x60, 0x30]] {
        let odd = [&header[..4], &version_and_size, &[0, 0, 0, 0, 0]].concat();
        assert!(decompress(Codec::Lz4, &odd, LIMIT).is_err());
    }
}

#[test]
fn zstd_with_a_huge_window_or_size_allocates_nothing() {
    // No single segment; window descriptors of 2 GiB and more; one empty last block.
    for window in [0xa8, 0xf8, 0xff] {
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, window, 0x01, 0x00, 0x00];
        let reason = reason(Codec::Zstd, &frame, LIMIT);
        assert!(reason.contains("indow"), "{reason}");
    }
    // A content size of 2^62, and of as much as the limit allows.
    let sized = |size: u64| {
        let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xe0];
        frame.extend_from_slice(&size.to_le_bytes());
        frame.extend_from_slice(&[0x09, 0x00, 0x00, b'x']);
        frame
    };
    assert!(reason(Codec::Zstd, &sized(1 << 62), LIMIT).contains("more than"));
    let limit = usize::MAX;
    assert!(reason(Codec::Zstd, &sized(1 << 40), limit).contains("shorter than it says"));
}

#[test]
fn frames_to_be_skipped_are_skipped() {
    for compression in [Compression::Lz4(None), Compression::Zstd(None)] {
        let mut stream = vec![0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
        stream.extend_from_slice(&packed(compression, b"after"));
        assert_eq!(
            decompress(codec(compression), &stream, LIMIT).unwrap(),
            b"after"
        );
        let lying = [0x50, 0x2a, 0x4d, 0x18, 0xff, 0xff, 0xff, 0xff, 1];
        assert!(reason(codec(compression), &lying, LIMIT).contains("too early"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes_read_back(
        input in proptest::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..3_000),
        compression in proptest::sample::select(&CODECS[..]),
    ) {
        let packed = packed(compression, &input);
        prop_assert_eq!(decompress(codec(compression), &packed, LIMIT).unwrap(), input);
    }

    #[test]
    fn changed_streams_never_panic_and_never_pass_the_limit(
        len in 0usize..3_000,
        compression in proptest::sample::select(&CODECS[..]),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..5),
    ) {
        let mut packed = packed(compression, &text(len));
        for (at, byte) in changes {
            let at = at.index(packed.len());
            packed[at] = byte;
        }
        if let Ok(plain) = decompress(codec(compression), &packed, 4_000) {
            prop_assert!(plain.len() <= 4_000);
        }
    }
}

#[test]
fn encoder_that_panics_is_an_error_and_starts_anew() {
    Scratch::with(|scratch, out| {
        let error = guarded(scratch, |_| panic!("a test")).unwrap_err();
        assert!(error.to_string().contains("panicked"), "{error}");
        compress(scratch, Compression::Gzip(None), b"text", out).unwrap();
    });
}
