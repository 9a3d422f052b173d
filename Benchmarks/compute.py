"""Keeps one core busy for some tenths of a second."""


def primes(limit):
    count = 0
    for number in range(2, int(limit)):
        factor = 2
        while factor * factor <= number and number % factor:
            factor += 1
        count += factor * factor > number
    return count
