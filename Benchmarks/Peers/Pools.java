import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.Future;

/** Java's executors, asked for figures: a line "NAME NUMBER" in, one number out, microseconds a job. */
public class Pools {
  static int work(int number) {
    return number + 1;
  }

  static double flood(ExecutorService pool, int count) throws Exception {
    long begin = System.nanoTime();
    List<Future<Integer>> futures = new ArrayList<>(count);
    for (int number = 0; number < count; number++) {
      int argument = number;
      futures.add(pool.submit(() -> work(argument)));
    }
    long sum = 0;
    for (Future<Integer> future : futures) sum += future.get();
    double span = System.nanoTime() - begin;
    if (sum != (long) count * (count + 1) / 2) throw new IllegalStateException("sum " + sum);
    return span / count / 1e3;
  }

  static double rounds(ExecutorService pool, int count, int quiet) throws Exception {
    double[] times = new double[count];
    for (int round = 0; round < count; round++) {
      if (quiet > 0) Thread.sleep(quiet);
      int argument = round;
      long begin = System.nanoTime();
      pool.submit(() -> work(argument)).get();
      times[round] = (System.nanoTime() - begin) / 1e3;
    }
    Arrays.sort(times);
    return quiet > 0 ? times[count / 2] : Arrays.stream(times).sum() / count;
  }

  public static void main(String[] arguments) throws Exception {
    ExecutorService fixed = Executors.newFixedThreadPool(2);
    ExecutorService forkJoin = new ForkJoinPool(2);
    // The compiler wants to have seen the code some times.
    for (int turn = 0; turn < 5; turn++) {
      flood(fixed, 100000);
      flood(forkJoin, 100000);
    }
    BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
    for (String line = input.readLine(); line != null; line = input.readLine()) {
      String[] words = line.trim().split(" ");
      int count = words.length > 1 ? Integer.parseInt(words[1]) : 1;
      switch (words[0]) {
        case "flood": System.out.println(flood(fixed, count)); break;
        case "forkjoin-flood": System.out.println(flood(forkJoin, count)); break;
        case "single": System.out.println(rounds(fixed, count, 0)); break;
        case "quiet": System.out.println(rounds(fixed, count, 10)); break;
        default: System.out.println("error: no " + words[0] + " here");
      }
    }
    fixed.shutdownNow();
    forkJoin.shutdownNow();
  }
}
