import { expect, test } from 'vitest'
import { spans } from './ansi'
import { matches } from './match'

const texts = (line: string) => spans(line).map((one) => one.text)

test('colours and weights are kept, and end', () => {
  expect(spans('a\u001b[1;31mb\u001b[22mc\u001b[39md')).toEqual([
    { text: 'a', classes: '' },
    { text: 'b', classes: 'bold fg1' },
    { text: 'c', classes: 'fg1' },
    { text: 'd', classes: '' },
  ])
  expect(spans('\u001b[97;104mx\u001b[mz').map((one) => one.classes)).toEqual(['fg15 bg12', ''])
})

test('colours of 256 and of 24 bits', () => {
  expect(spans('\u001b[38;5;196mx')[0]?.color).toBe('#ff0000')
  expect(spans('\u001b[38;5;232mx')[0]?.color).toBe('#080808')
  expect(spans('\u001b[38;5;9mx')[0]?.classes).toBe('fg9')
  expect(spans('\u001b[48;2;1;2;300mx')[0]?.background).toBe('#0102ff')
  expect(spans('\u001b[38;2;1;2;3;1mx')[0]).toMatchObject({ color: '#010203', classes: 'bold' })
})

test('no other sequence is seen or does anything', () => {
  expect(texts('\u001b]0;title\u0007a\u001b[2Jb\u001b[10;10Hc\u001b]8;;http://x\u001b\\d\u001b(Be')).toEqual(['a', 'b', 'c', 'd', 'e'])
  expect(texts('cut off \u001b[3')).toEqual(['cut off \ufffd[3'])
  expect(texts('\u202eabc\u0007')).toEqual(['\ufffdabc\ufffd'])
})

test('what a progress bar wrote over is gone', () => {
  expect(texts(' 10 %\r 20 %\r100 %\r')).toEqual(['100 %'])
})

test('matches of a pattern, none of them empty', () => {
  expect(matches('aXbxc', /x/gi)).toEqual([[1, 2], [3, 4]])
  expect(matches('abc', /x*/g)).toEqual([])
  expect(matches('abc', undefined)).toEqual([])
})
