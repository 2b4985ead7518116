;; Folding line ends, sixteen octets at a time: `npm run assemble` makes fold-code.ts of this file.
;;
;; Text goes over unchanged up to the next CR. A run of CRs before an LF is left out (the last `most` of it); any other run goes over.
;; Where no CR was seen for longer than a line of mail, sixty-four octets go at a time: text with LF line ends has none.
;; Whole vectors are read and written, so up to 15 octets behind either end are touched, and mean nothing.

(module
  (memory (export "memory") 3)

  ;; from, end: the octets to be folded. to: where the folded ones go. result: six u32, see fold.ts.
  (func (export "fold")
    (param $from i32) (param $end i32) (param $to i32) (param $most i32) (param $result i32)
    (local $octets v128)
    ;; Which of the vector's octets count, a bit each: from the first one on, those before the end or before the first CR.
    (local $counted i32)
    (local $step i32)
    (local $crs i32)
    (local $run i32)
    (local $gone i32)
    (local $begin i32)
    (local $lines i32)
    (local $crlf i32)
    (local $doubled i32)
    (local $stray i32)
    (local $nuls i32)
    ;; Vectors without a CR, one behind the other.
    (local $clean i32)
    (local $second v128)
    (local $third v128)
    (local $fourth v128)

    (local.set $begin (local.get $to))
    (block $over
      (loop $vector
        (br_if $over (i32.ge_u (local.get $from) (local.get $end)))
        (local.set $octets (v128.load (local.get $from)))
        (v128.store (local.get $to) (local.get $octets))

        (local.set $step (i32.sub (local.get $end) (local.get $from)))
        (if (i32.lt_u (local.get $step) (i32.const 16))
          (then
            (local.set $counted (i32.sub (i32.shl (i32.const 1) (local.get $step)) (i32.const 1))))
          (else
            (local.set $step (i32.const 16))
            (local.set $counted (i32.const 0xffff))))

        (local.set $crs (i32.and (local.get $counted)
          (i8x16.bitmask (i8x16.eq (local.get $octets) (i8x16.splat (i32.const 13))))))
        (if (local.get $crs)
          (then
            (local.set $step (i32.ctz (local.get $crs)))
            (local.set $counted (i32.sub (i32.shl (i32.const 1) (local.get $step)) (i32.const 1)))))

        (local.set $nuls (i32.or (local.get $nuls) (i32.and (local.get $counted)
          (i8x16.bitmask (i8x16.eq (local.get $octets) (i8x16.splat (i32.const 0)))))))
        (local.set $lines (i32.add (local.get $lines) (i32.popcnt (i32.and (local.get $counted)
          (i8x16.bitmask (i8x16.eq (local.get $octets) (i8x16.splat (i32.const 10))))))))

        (local.set $from (i32.add (local.get $from) (local.get $step)))
        (local.set $to (i32.add (local.get $to) (local.get $step)))
        (if (i32.eqz (local.get $crs))
          (then
            (local.set $clean (i32.add (local.get $clean) (i32.const 1)))
            (br_if $vector (i32.lt_u (local.get $clean) (i32.const 8)))
            (block $mixed
              (loop $clear
                (br_if $mixed (i32.lt_s (i32.sub (local.get $end) (local.get $from)) (i32.const 64)))
                (local.set $octets (v128.load (local.get $from)))
                (local.set $second (v128.load offset=16 (local.get $from)))
                (local.set $third (v128.load offset=32 (local.get $from)))
                (local.set $fourth (v128.load offset=48 (local.get $from)))
                (br_if $mixed (v128.any_true (v128.or
                  (v128.or
                    (i8x16.eq (local.get $octets) (i8x16.splat (i32.const 13)))
                    (i8x16.eq (local.get $second) (i8x16.splat (i32.const 13))))
                  (v128.or
                    (i8x16.eq (local.get $third) (i8x16.splat (i32.const 13)))
                    (i8x16.eq (local.get $fourth) (i8x16.splat (i32.const 13)))))))
                (v128.store (local.get $to) (local.get $octets))
                (v128.store offset=16 (local.get $to) (local.get $second))
                (v128.store offset=32 (local.get $to) (local.get $third))
                (v128.store offset=48 (local.get $to) (local.get $fourth))
                ;; The least octet of each lane: 0 where any of the four has a NUL.
                (local.set $nuls (i32.or (local.get $nuls) (i8x16.bitmask (i8x16.eq
                  (i8x16.min_u
                    (i8x16.min_u (local.get $octets) (local.get $second))
                    (i8x16.min_u (local.get $third) (local.get $fourth)))
                  (i8x16.splat (i32.const 0))))))
                ;; A lane counts down one for each LF, and so by four at most.
                (local.set $octets (i8x16.neg (i8x16.add
                  (i8x16.add
                    (i8x16.eq (local.get $octets) (i8x16.splat (i32.const 10)))
                    (i8x16.eq (local.get $second) (i8x16.splat (i32.const 10))))
                  (i8x16.add
                    (i8x16.eq (local.get $third) (i8x16.splat (i32.const 10)))
                    (i8x16.eq (local.get $fourth) (i8x16.splat (i32.const 10)))))))
                ;; Both halves together, and their eight lanes (of at most eight) into the topmost.
                (local.set $lines (i32.add (local.get $lines) (i32.wrap_i64 (i64.shr_u
                  (i64.mul
                    (i64.add (i64x2.extract_lane 0 (local.get $octets)) (i64x2.extract_lane 1 (local.get $octets)))
                    (i64.const 0x0101010101010101))
                  (i64.const 56)))))
                (local.set $from (i32.add (local.get $from) (i32.const 64)))
                (local.set $to (i32.add (local.get $to) (i32.const 64)))
                (br $clear)))
            (br $vector)))
        (local.set $clean (i32.const 0))

        (local.set $run (i32.const 0))
        (block $ended
          (loop $cr
            (br_if $ended (i32.ge_u (local.get $from) (local.get $end)))
            (br_if $ended (i32.ne (i32.load8_u (local.get $from)) (i32.const 13)))
            (local.set $run (i32.add (local.get $run) (i32.const 1)))
            (local.set $from (i32.add (local.get $from) (i32.const 1)))
            (br $cr)))

        (local.set $gone (i32.const 0))
        (block $folded
          (br_if $folded (i32.ge_u (local.get $from) (local.get $end)))
          (br_if $folded (i32.ne (i32.load8_u (local.get $from)) (i32.const 10)))
          (local.set $crlf (i32.add (local.get $crlf) (i32.const 1)))
          (local.set $gone
            (select (local.get $run) (local.get $most) (i32.lt_u (local.get $run) (local.get $most))))
          (local.set $doubled (i32.add (local.get $doubled) (i32.sub (local.get $gone) (i32.const 1)))))

        (local.set $run (i32.sub (local.get $run) (local.get $gone)))
        (local.set $stray (i32.add (local.get $stray) (local.get $run)))
        ;; Nearly always nothing is left of it, and filling is a call.
        (if (local.get $run)
          (then (memory.fill (local.get $to) (i32.const 13) (local.get $run))))
        (local.set $to (i32.add (local.get $to) (local.get $run)))
        (br $vector)))

    (i32.store (local.get $result) (i32.sub (local.get $to) (local.get $begin)))
    (i32.store offset=4 (local.get $result) (local.get $lines))
    (i32.store offset=8 (local.get $result) (local.get $crlf))
    (i32.store offset=12 (local.get $result) (local.get $doubled))
    (i32.store offset=16 (local.get $result) (local.get $stray))
    (i32.store offset=20 (local.get $result) (local.get $nuls))))
